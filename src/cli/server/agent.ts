import { create } from '@bufbuild/protobuf';
import { formatSelector } from '../../spiffe/selector.js';
import { CountAgentsResponseSchema, ListAgentsResponseSchema } from '../../wire/gen/spire/server/agent_pb.js';
import { type Agent, AgentSchema } from '../../wire/gen/spire/types_pb.js';
import { fields, printable } from '../output.js';
import type { Flag, FlagValues, Verb } from '../verb.js';
import {
  allPages,
  idMessage,
  idText,
  json,
  type ServerApi,
  selectorMessages,
  serverFlags,
  timeText,
  withServer,
} from './connect.js';
import { count } from './entry-view.js';
import { matchBehaviour, matchFlags } from './match-flags.js';

const idFlag: Flag = { name: 'spiffeID', type: 'string', doc: "The agent's SPIFFE ID.", required: true };

const filterFlags: readonly Flag[] = [
  { name: 'selector', type: 'strings', doc: 'Only agents with such selectors.' },
  ...matchFlags('matchSelectorsOn', 'selectors'),
  { name: 'attestationType', type: 'string', doc: 'Only agents that attested this way.' },
  { name: 'canReattest', type: 'boolean', doc: 'Only agents that can, or cannot, attest again.' },
  { name: 'banned', type: 'boolean', doc: 'Only banned agents, or only others.' },
  {
    name: 'expiresBefore',
    type: 'string',
    doc: 'Only agents whose SVID ends before, 2006-01-02T15:04:05Z or "2006-01-02 15:04:05 -0700 -07".',
  },
];

function filterOf(flags: FlagValues) {
  return {
    ...(flags.has('selector')
      ? {
          bySelectorMatch: {
            selectors: selectorMessages(flags.strings('selector')),
            match: matchBehaviour(flags.string('matchSelectorsOn')),
          },
        }
      : {}),
    byAttestationType: flags.string('attestationType'),
    byExpiresBefore: goTime(flags.string('expiresBefore')),
    ...(flags.has('canReattest') ? { byCanReattest: flags.boolean('canReattest') } : {}),
    ...(flags.has('banned') ? { byBanned: flags.boolean('banned') } : {}),
  };
}

/** RFC 3339 as the server's API wants it; anything else is left to the server. */
function goTime(text: string): string {
  const moment = /^\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(moment)) return text;
  return new Date(moment)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, ' +0000 +00');
}

function agents(flags: FlagValues, api: ServerApi): Promise<Agent[]> {
  return allPages(async (pageToken) => {
    const page = await api.agent.listAgents({ filter: filterOf(flags), pageSize: 500, pageToken });
    return [page.agents, page.nextPageToken];
  });
}

function agentText(agent: Agent): string {
  return fields([
    ['SPIFFE ID', idText(agent.id)],
    ['Attestation type', agent.attestationType],
    ['Expiration time', timeText(agent.x509svidExpiresAt)],
    ['Serial number', agent.x509svidSerialNumber],
    ['Can re-attest', String(agent.canReattest)],
    ['Agent version', printable(agent.agentVersion)],
    ...(agent.banned ? [['Banned', 'true'] as const] : []),
    ...agent.selectors.map((selector) => ['Selector', printable(formatSelector(selector))] as const),
  ]);
}

const list: Verb = {
  name: 'agent list',
  summary: 'List attested agents.',
  example: 'touchmark-server agent list -attestationType tpm',
  flags: [...filterFlags, ...serverFlags],
  run: (context) =>
    withServer(context, async (api) => {
      const found = await agents(context.flags, api);
      context.out.result({
        pretty: [
          `Found ${count(found.length, 'attested agent', 'attested agents')}`,
          ...found.map(agentText),
        ].join('\n\n'),
        json: json(ListAgentsResponseSchema, create(ListAgentsResponseSchema, { agents: found })),
      });
      return 0;
    }),
};

const countVerb: Verb = {
  name: 'agent count',
  summary: 'Count attested agents.',
  example: 'touchmark-server agent count -banned',
  flags: [...filterFlags, ...serverFlags],
  run: (context) =>
    withServer(context, async (api) => {
      const response = await api.agent.countAgents({ filter: filterOf(context.flags) });
      context.out.result({
        pretty: count(response.count, 'attested agent', 'attested agents'),
        json: json(CountAgentsResponseSchema, response),
      });
      return 0;
    }),
};

const show: Verb = {
  name: 'agent show',
  summary: 'Show one agent.',
  example: 'touchmark-server agent show -spiffeID spiffe://example.org/spire/agent/tpm/5f4f…',
  flags: [idFlag, ...serverFlags],
  run: (context) =>
    withServer(context, async (api) => {
      const agent = await api.agent.getAgent({ id: idMessage(context.flags.string('spiffeID')) });
      context.out.result({ pretty: agentText(agent), json: json(AgentSchema, agent) });
      return 0;
    }),
};

const ban: Verb = {
  name: 'agent ban',
  summary: 'Ban an agent: what it holds is withdrawn, and it may not come back.',
  example: 'touchmark-server agent ban -spiffeID spiffe://example.org/spire/agent/tpm/5f4f…',
  flags: [idFlag, ...serverFlags],
  run: (context) =>
    withServer(context, async (api) => {
      await api.agent.banAgent({ id: idMessage(context.flags.string('spiffeID')) });
      context.out.result({ pretty: 'Agent banned', json: {} });
      return 0;
    }),
};

const evict: Verb = {
  name: 'agent evict',
  summary: 'Forget an agent: it must attest again.',
  example: 'touchmark-server agent evict -spiffeID spiffe://example.org/spire/agent/join_token/7a…',
  flags: [idFlag, ...serverFlags],
  run: (context) =>
    withServer(context, async (api) => {
      await api.agent.deleteAgent({ id: idMessage(context.flags.string('spiffeID')) });
      context.out.result({ pretty: 'Agent evicted', json: {} });
      return 0;
    }),
};

const purge: Verb = {
  name: 'agent purge',
  summary: 'Evict agents whose SVIDs ended long ago.',
  example: 'touchmark-server agent purge -expiredFor 720h -dryRun',
  flags: [
    {
      name: 'expiredFor',
      type: 'duration',
      doc: 'For how long they must have been expired.',
      default: 2_592_000,
    },
    { name: 'dryRun', type: 'boolean', doc: 'Only say which.' },
    ...serverFlags,
  ],
  run: (context) =>
    withServer(context, async (api) => {
      const before = Date.now() / 1000 - context.flags.integer('expiredFor');
      const gone = (await agents(context.flags, api)).filter(
        // A ban ends with the record, so banned agents stay.
        (agent) => !agent.banned && Number(agent.x509svidExpiresAt) < before,
      );
      const dry = context.flags.boolean('dryRun');
      if (!dry) for (const agent of gone) await api.agent.deleteAgent(agent.id ? { id: agent.id } : {});
      const ids = gone.map((agent) => idText(agent.id));
      context.out.result({
        pretty: [`${dry ? 'Would evict' : 'Evicted'} ${count(ids.length, 'agent', 'agents')}`, ...ids].join(
          '\n',
        ),
        json: { expired: ids, purged: dry ? [] : ids },
      });
      return 0;
    }),
};

export const agentVerbs: readonly Verb[] = [list, countVerb, show, ban, evict, purge];
