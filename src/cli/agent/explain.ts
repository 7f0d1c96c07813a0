import { createRpcClient } from '../../rpc/client.js';
import { formatSelector } from '../../spiffe/selector.js';
import {
  Cause,
  Explain,
  type ExplainResponse,
  ExplainResponseSchema,
} from '../../wire/gen/touchmark/explain/v1/explain_pb.js';
import { HostState } from '../../wire/gen/touchmark/host/v1/state_pb.js';
import { printable } from '../output.js';
import type { Verb } from '../verb.js';
import { json } from '../wire-json.js';
import { adminFlags, withAgent, workloadFlags, workloadSocket } from './connect.js';

const causeNames = new Map<Cause, string>(
  Object.entries(Cause).map(([name, value]) => [value, name.toLowerCase()]),
);

/** A selector that is there is marked with a plus, one that is missing with a minus. */
function explanation(response: ExplainResponse): string {
  const id = (part: { trustDomain: string; path: string } | undefined) =>
    part ? `spiffe://${part.trustDomain}${part.path}` : '';
  const lines = [`process ${response.pid}: ${printable(response.message)}`];
  for (const identity of response.identities) {
    const marks = [
      identity.entryId ? `entry ${identity.entryId}` : '',
      identity.default ? 'default' : '',
      identity.hint ? `hint ${printable(identity.hint)}` : '',
      identity.weak ? 'weak: anybody may run that file' : '',
    ];
    const said = marks.filter(Boolean).join('; ');
    lines.push(`  identity ${id(identity.spiffeId)}${said && ` (${said})`}`);
  }
  if (response.selectors.length > 0) lines.push('selectors of this process:');
  lines.push(...response.selectors.map((selector) => `  + ${printable(formatSelector(selector))}`));
  for (const { name, error } of response.attestors.filter(({ ok }) => !ok))
    lines.push(`attestor ${name}: ${printable(error)}`);
  if (response.near.length > 0) lines.push('entries that came near:');
  for (const near of response.near) {
    lines.push(`  ${id(near.spiffeId)} (entry ${near.entryId}) lacks`);
    lines.push(...near.missing.map((selector) => `    - ${printable(formatSelector(selector))}`));
  }
  return [...lines, ...nodeLines(response)].join('\n');
}

function nodeLines({ node }: ExplainResponse): string[] {
  if (!node) return [];
  const state =
    Object.entries(HostState)
      .find(([, value]) => value === node.state)?.[0]
      .toLowerCase() ?? 'unknown';
  const name = node.id ? `spiffe://${node.id.trustDomain}${node.id.path}` : 'not attested yet';
  const synced = node.lastSync === 0n ? 'never' : new Date(Number(node.lastSync) * 1000).toISOString();
  return [
    `node ${name}`,
    `  state ${state}, server ${node.serverConnected ? 'connected' : 'not connected'}, last heard ${synced}`,
    ...node.reasons.map((reason) => `  ${reason.code}: ${printable(reason.message)}`),
  ];
}

export const explainVerb: Verb = {
  name: 'explain',
  summary: 'Say why a process has an identity, or why it has none.',
  example: 'sudo touchmark-agent explain -pid 4711',
  flags: [
    {
      name: 'pid',
      type: 'integer',
      doc: 'The process; otherwise this command itself. Needs the admin socket.',
    },
    ...workloadFlags,
    ...adminFlags,
  ],
  run: (context) => {
    const { flags } = context;
    const other = flags.has('pid') || process.getuid?.() === 0;
    const path = other ? flags.string('adminSocketPath') : workloadSocket(context);
    return withAgent(path, async (channel) => {
      const response = await createRpcClient(Explain, channel).explain({ pid: flags.integer('pid') });
      const answer = json(ExplainResponseSchema, response) as Record<string, unknown>;
      context.out.result({
        pretty: explanation(response),
        json: { ...answer, cause: causeNames.get(response.cause) ?? 'unspecified' },
      });
      return response.cause === Cause.NONE ? 0 : 1;
    });
  },
};
