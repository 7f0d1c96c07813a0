/** Why a host is in its state: the judgement of its newest evidence, down to the log entry, and how it came to this. */
import { type HostRecord, HostRecordSchema } from '../../wire/gen/touchmark/host/v1/host_pb.js';
import { examine } from '../evidence/examine.js';
import { acceptText, componentText, type Explained, explain } from '../evidence/explain-text.js';
import { readEvidenceFiles } from '../evidence/read-evidence.js';
import { fields, printable, table } from '../output.js';
import type { Verb, VerbContext } from '../verb.js';
import { json, type ServerApi, serverFlags, timeText, withServer } from './connect.js';
import { fetchEvidence } from './evidence-files.js';
import { findHost, hostArgument } from './host-find.js';
import { stateName } from './host-view.js';

interface Change {
  readonly at: string;
  readonly from: string;
  readonly to: string;
  readonly reasons: readonly string[];
}

const HISTORY = 10;

export const hostExplain: Verb = {
  name: 'host explain',
  summary: 'Say why a host is trusted, suspect or drifted, since when, and what would change it.',
  example: 'touchmark-server host explain web-1',
  flags: serverFlags,
  args: [hostArgument],
  run: (context) =>
    withServer(context, async (api) => {
      const host = await findHost(api, context.args[0] ?? '');
      const explained = await explainedEvidence(context, api, host);
      const history = await changes(api, host.id);
      context.out.result({
        pretty: textOf(host, explained, history),
        json: { host: json(HostRecordSchema, host), explained: explained ?? null, history },
      });
      return 0;
    }),
};

/** The evidence of the last judgement, judged once more here: what is shown is not taken from anybody. */
async function explainedEvidence(
  { signal }: VerbContext,
  api: ServerApi,
  host: HostRecord,
): Promise<Explained | undefined> {
  const id = host.appraisal?.evidenceId ?? '';
  if (id === '') return undefined;
  const exported = await readEvidenceFiles(await fetchEvidence(api, host.id, id, signal));
  const { appraisal } = examine(exported);
  return appraisal && explain(exported, appraisal);
}

async function changes(api: ServerApi, hostId: string): Promise<Change[]> {
  const filter = { names: ['host_state_changed'], subject: hostId, sinceUnixMs: 0n };
  const { events } = await api.audit.listEvents({ fromSeq: 0n, newestFirst: true, limit: HISTORY, filter });
  return events.map(({ atUnixMs, fields: all }) => {
    const valuesOf = (name: string) => all.find((field) => field.name === name)?.values ?? [];
    const at = new Date(Number(atUnixMs)).toISOString();
    return { at, from: valuesOf('from')[0] ?? '', to: valuesOf('to')[0] ?? '', reasons: valuesOf('reasons') };
  });
}

function textOf(host: HostRecord, explained: Explained | undefined, history: readonly Change[]): string {
  const parts = [headText(host)];
  if (explained === undefined) parts.push('No evidence of this host was judged yet.');
  else parts.push(...explained.components.map(componentText), acceptText(explained.accept));
  if (history.length > 0) parts.push(historyText(history));
  return parts.filter((part) => part !== '').join('\n\n');
}

function headText(host: HostRecord): string {
  const { name, id, state, stateSince, reasons, graceEndsAt, appraisal } = host;
  const since = stateSince === 0n ? '' : ` since ${timeText(stateSince)}`;
  return fields([
    ['Host', printable(name === '' ? id : name)],
    ['State', `${stateName(state)}${since}`],
    ...(graceEndsAt === 0n ? [] : [['Identities end', timeText(graceEndsAt)] as const]),
    ...reasons.map(({ code, message }) => ['Because', `${code}: ${printable(message)}`] as const),
    ['Policy', policyText(host)],
    ...(appraisal ? [['Evidence', `${appraisal.evidenceId}, ${timeText(appraisal.at)}`] as const] : []),
  ]);
}

/** What it was judged by, unless that is not what applies to it now. */
function policyText({ appraisal, policyInForce, groupInForce }: HostRecord): string {
  if (policyInForce === '') return 'none applies: no group matches its labels';
  const { policyName = '', group = '', policyId = '' } = appraisal ?? {};
  const named = `${printable(policyInForce)} of group ${printable(groupInForce)}`;
  if (policyName === policyInForce && group === groupInForce) return `${named} (${policyId.slice(0, 16)})`;
  return `${named}; its evidence is not judged by it yet, or cannot be judged: the server's log says why`;
}

function historyText(history: readonly Change[]): string {
  const rows = history.map(({ at, from, to, reasons }) => [
    at,
    `${from} -> ${to}`,
    printable(reasons.join('; ')),
  ]);
  return table(['WHEN', 'STATE', 'WHY'], rows);
}
