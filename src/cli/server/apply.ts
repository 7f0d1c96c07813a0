import { readFile } from 'node:fs/promises';
import { formatProblem, type Problem } from '../../config/problem.js';
import { TouchmarkError } from '../../errors.js';
import { pathOf, type SpiffeId, trustDomainOf } from '../../spiffe/id.js';
import { formatSelector } from '../../spiffe/selector.js';
import { type EntryManifest, readManifest } from '../manifest.js';
import type { Flag, Verb, VerbContext } from '../verb.js';
import { type Plan, planEntries } from './apply-plan.js';
import { allPages, failures, type ServerApi, serverFlags, withServer } from './connect.js';

const fileFlag: Flag = {
  name: 'f',
  type: 'strings',
  doc: 'Manifest, YAML or JSON; - for standard input.',
  required: true,
};

const apply: Verb = {
  name: 'apply',
  summary: 'Make the server have what manifests declare; doing it again changes nothing.',
  example: 'touchmark-server apply -f workloads.yaml',
  flags: [fileFlag, ...serverFlags],
  run: (context) =>
    withServer(context, async (api) => {
      const plan = await planOf(context, api);
      const created = await api.entry.batchCreateEntry({
        entries: plan.create.map((row) => message('', row)),
      });
      const updated = await api.entry.batchUpdateEntry({
        entries: plan.update.map((row) => message(row.id, row.manifest)),
      });
      const failed = [...failures(created.results), ...failures(updated.results)];
      report(context, plan, failed.length === 0 ? 'applied' : 'partly applied');
      if (failed.length > 0) throw new TouchmarkError('request_refused', failed.join('\n'));
      return 0;
    }),
};

const diff: Verb = {
  name: 'diff',
  summary: 'Say what apply would change; exit 1 when it would change something.',
  example: 'touchmark-server diff -f workloads.yaml',
  flags: [fileFlag, ...serverFlags],
  run: (context) =>
    withServer(context, async (api) => {
      const plan = await planOf(context, api);
      report(context, plan, 'planned');
      return plan.create.length + plan.update.length > 0 ? 1 : 0;
    }),
};

async function planOf(context: VerbContext, api: ServerApi): Promise<Plan> {
  const manifests = await manifestsOf(context);
  const existing = await allPages(async (pageToken) => {
    const page = await api.entry.listEntries({ pageSize: 500, pageToken });
    return [page.entries, page.nextPageToken];
  });
  return planEntries(manifests, existing);
}

/** All files are read before anything is sent, so that a mistake in the last one changes nothing. */
async function manifestsOf(context: VerbContext): Promise<EntryManifest[]> {
  const problems: Problem[] = [];
  const entries: EntryManifest[] = [];
  for (const file of context.flags.strings('f')) {
    const source = file === '-' ? await context.readStdin() : await readFile(file, 'utf8');
    const read = readManifest(file, source);
    problems.push(...read.problems);
    entries.push(...read.entries);
  }
  if (problems.length > 0) throw new TouchmarkError('config_invalid', problems.map(formatProblem).join('\n'));
  return entries;
}

function message(id: string, manifest: EntryManifest) {
  const { spiffeId, parentId, expiresAt, selectors, ...rest } = manifest;
  return {
    ...rest,
    id,
    spiffeId: parts(spiffeId),
    parentId: parts(parentId),
    selectors: [...selectors],
    federatesWith: [...manifest.federatesWith],
    dnsNames: [...manifest.dnsNames],
    expiresAt: BigInt(expiresAt),
    additionalAttributes: {
      disableX509SvidPrefetch: manifest.disableX509SvidPrefetch,
      jwtSvidIncludeJti: manifest.jwtSvidIncludeJti,
    },
  };
}

function parts(id: SpiffeId) {
  return { trustDomain: trustDomainOf(id), path: pathOf(id) };
}

function report({ out }: VerbContext, plan: Plan, word: string): void {
  const name = (row: EntryManifest) => `${row.spiffeId} (${row.selectors.map(formatSelector).join(', ')})`;
  const lines = [
    ...plan.create.map((row) => `+ ${name(row)}`),
    ...plan.update.flatMap((row) => [
      `~ ${name(row.manifest)}`,
      ...row.changes.map((change) => `    ${change}`),
    ]),
    `${word}: ${plan.create.length} to create, ${plan.update.length} to change, ${plan.unchanged} as declared`,
  ];
  out.result({
    pretty: lines.join('\n'),
    json: {
      result: word,
      create: plan.create.map((row) => row.spiffeId),
      update: plan.update.map((row) => ({
        id: row.id,
        spiffeId: row.manifest.spiffeId,
        changes: row.changes,
      })),
      unchanged: plan.unchanged,
    },
  });
}

export const applyVerbs: readonly Verb[] = [apply, diff];
