import { formatProblem, type Problem } from '../../config/problem.js';
import { TouchmarkError } from '../../errors.js';
import { formatSelector } from '../../spiffe/selector.js';
import type { Status } from '../../wire/gen/spire/types_pb.js';
import {
  type ApplyObjectsResponse,
  ApplyObjectsResponseSchema,
  type ObjectChange,
  ObjectChange_Change,
} from '../../wire/gen/touchmark/measure/v1/measure_pb.js';
import type { EntryManifest } from '../entry-fields.js';
import { type Manifests, readManifest } from '../manifest.js';
import type { ObjectManifest } from '../manifest-object.js';
import { readText } from '../read-file.js';
import type { Flag, Verb, VerbContext } from '../verb.js';
import { declaredTwice, type Plan, planEntries } from './apply-plan.js';
import { allPages, failures, json, remarks, type ServerApi, serverFlags, withServer } from './connect.js';
import { entryMessage } from './entry-message.js';
import { allowedWithdrawal, applyObjects, withdrawalFlags } from './measure-calls.js';
import { changeLine, impactText } from './measure-view.js';

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
  flags: [fileFlag, ...withdrawalFlags, ...serverFlags],
  run: (context) =>
    withServer(context, async (api) => {
      const declared = await manifestsOf(context);
      const plan = await planOf(api, declared.entries);
      // First what the brake may hold: then nothing has been changed.
      const measure = await measured(context, api, declared.objects, false);
      const failed = [
        ...(await inBatches(plan.create, async (rows) => {
          const entries = rows.map((row) => entryMessage('', row));
          return told(context, (await api.entry.batchCreateEntry({ entries })).results);
        })),
        ...(await inBatches(plan.update, async (rows) => {
          const entries = rows.map((row) => entryMessage(row.id, row.manifest));
          return told(context, (await api.entry.batchUpdateEntry({ entries })).results);
        })),
      ];
      report(context, plan, measure, failed.length === 0 ? 'applied' : 'partly applied');
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
      const declared = await manifestsOf(context);
      const plan = await planOf(api, declared.entries);
      const measure = await measured(context, api, declared.objects, true);
      report(context, plan, measure, 'planned');
      return plan.create.length + plan.update.length + changedObjects(measure).length > 0 ? 1 : 0;
    }),
};

/** The failures; what the server remarks on the rest is passed on. */
function told({ out }: VerbContext, results: readonly { status?: Status | undefined }[]): string[] {
  for (const remark of remarks(results)) out.note(`warning: ${remark}`);
  return failures(results);
}

/** No message grows with the size of the fleet. */
async function inBatches<T>(rows: readonly T[], send: (rows: T[]) => Promise<string[]>): Promise<string[]> {
  const failed: string[] = [];
  for (let at = 0; at < rows.length; at += 500) failed.push(...(await send(rows.slice(at, at + 500))));
  return failed;
}

/** Policies, reference sets and groups; undefined when none is declared. */
async function measured(
  context: VerbContext,
  api: ServerApi,
  objects: readonly ObjectManifest[],
  dryRun: boolean,
): Promise<ApplyObjectsResponse | undefined> {
  if (objects.length === 0) return undefined;
  const manifests = objects.map(({ written }) => written);
  const allowed = dryRun ? {} : allowedWithdrawal(context.flags);
  return applyObjects(context, api, manifests, { dryRun, ...allowed });
}

function changedObjects(measure: ApplyObjectsResponse | undefined): ObjectChange[] {
  return measure?.changes.filter(({ change }) => change !== ObjectChange_Change.UNCHANGED) ?? [];
}

async function planOf(api: ServerApi, manifests: readonly EntryManifest[]): Promise<Plan> {
  if (manifests.length === 0) return { create: [], update: [], unchanged: 0 };
  const existing = await allPages(async (pageToken) => {
    const page = await api.entry.listEntries({ pageSize: 500, pageToken });
    return [page.entries, page.nextPageToken];
  });
  return planEntries(manifests, existing);
}

/** All files are read before anything is sent, so that a mistake in the last one changes nothing. */
async function manifestsOf(context: VerbContext): Promise<Pick<Manifests, 'entries' | 'objects'>> {
  const problems: Problem[] = [];
  const entries: EntryManifest[] = [];
  const objects: ObjectManifest[] = [];
  for (const file of context.flags.strings('f')) {
    const source = await readText(context, file);
    const read = readManifest(file, source);
    problems.push(...read.problems);
    entries.push(...read.entries);
    objects.push(...read.objects);
  }
  const lines = [...problems.map(formatProblem), ...declaredTwice(entries)];
  if (lines.length > 0) throw new TouchmarkError('data_invalid', lines.join('\n'));
  return { entries, objects };
}

function report(
  { out }: VerbContext,
  plan: Plan,
  measure: ApplyObjectsResponse | undefined,
  word: string,
): void {
  const name = (row: EntryManifest) => `${row.spiffeId} (${row.selectors.map(formatSelector).join(', ')})`;
  const objects = changedObjects(measure);
  const created = objects.filter(({ change }) => change === ObjectChange_Change.CREATED).length;
  const create = plan.create.length + created;
  const update = plan.update.length + objects.length - created;
  const unchanged = plan.unchanged + (measure?.changes.length ?? 0) - objects.length;
  const lines = [
    ...objects.map(changeLine),
    ...plan.create.map((row) => `+ ${name(row)}`),
    ...plan.update.flatMap((row) => [
      `~ ${name(row.manifest)}`,
      ...row.changes.map((change) => `    ${change}`),
    ]),
    ...(objects.length === 0 && !measure?.impact?.lostAtEnd ? [] : [impactText(measure?.impact)]),
    `${word}: ${create} to create, ${update} to change, ${unchanged} as declared`,
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
      unchanged,
      ...(measure === undefined ? {} : { measurement: json(ApplyObjectsResponseSchema, measure) }),
    },
  });
}

export const applyVerbs: readonly Verb[] = [apply, diff];
