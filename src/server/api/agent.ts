import { createHash, randomUUID } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { EmptySchema } from '@bufbuild/protobuf/wkt';
import { type Clock, unixSeconds } from '../../clock.js';
import { hasCode, TouchmarkError } from '../../errors.js';
import { makeSpiffeId, type SpiffeId, type TrustDomain } from '../../spiffe/id.js';
import {
  type Agent,
  CountAgentsResponseSchema,
  type CreateJoinTokenRequest,
  type ListAgentsRequest,
  ListAgentsResponseSchema,
  PostStatusResponseSchema,
  type RenewAgentRequest,
  RenewAgentResponseSchema,
} from '../../wire/gen/spire/server/agent_pb.js';
import { AgentSchema, JoinTokenSchema } from '../../wire/gen/spire/types_pb.js';
import { applyMask } from '../../wire/mask.js';
import { readCsr } from '../../x509/csr.js';
import { describeCaller } from '../access/audit.js';
import type { Limits } from '../access/limits.js';
import { type AttestDeps, attestAgent } from '../attest.js';
import type { Issuer, Registry } from '../contract.js';
import type { Datastore } from '../datastores/contract.js';
import type { Entries, EntryDraft } from '../entries/entries.js';
import { agentFilter } from '../nodes/filter.js';
import type { NodeLifecycle } from '../nodes/lifecycle.js';
import { agentToWire, csrDigest, x509SvidToWire } from './convert.js';
import { agentFromWire, checkPresent, memberFromWire } from './fields.js';
import { readPage } from './paging.js';
import type { ApiCall, ApiService } from './service.js';

export interface AgentApiDeps {
  readonly store: Datastore;
  readonly registry: Registry;
  readonly issuer: Issuer;
  readonly entries: Entries;
  readonly nodes: NodeLifecycle;
  readonly limits: Limits;
  readonly attest: AttestDeps;
  /** Bans a node, and in the same batch its host, where it has one. */
  readonly ban: (id: SpiffeId, by: string) => Promise<void>;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  /** Seconds; 0 takes the default. */
  readonly agentTtl: number;
}

const MAX_VERSION = 255;
const MAX_TOKEN = 255;

export function agentService(deps: AgentApiDeps): ApiService<typeof Agent> {
  return { ...operatorMethods(deps), ...nodeMethods(deps) };
}

type Methods = ApiService<typeof Agent>;

function operatorMethods({
  registry,
  store,
  nodes,
  trustDomain,
  ban,
}: AgentApiDeps): Omit<Methods, keyof ReturnType<typeof nodeMethods>> {
  return {
    countAgents: async (request) => {
      const test = agentFilter(request.filter);
      let count = 0;
      for (const node of registry.nodes()) if (test(node)) count += 1;
      return create(CountAgentsResponseSchema, { count });
    },
    listAgents: (request) => listAgents(store, request),
    getAgent: async (request) => {
      const id = agentFromWire('id', request.id, trustDomain);
      const node = registry.node(id);
      if (node === undefined) throw new TouchmarkError('agent_not_found', `there is no agent ${id}`);
      return applyMask(AgentSchema, agentToWire(node), request.outputMask, 'id');
    },
    deleteAgent: async (request, call) => {
      const id = agentFromWire('id', request.id, trustDomain);
      call.audit({ agent_id: id });
      await nodes.evict(id);
      return create(EmptySchema);
    },
    banAgent: async (request, call) => {
      const id = agentFromWire('id', request.id, trustDomain);
      call.audit({ agent_id: id });
      await ban(id, byWhom(call));
      return create(EmptySchema);
    },
  };
}

async function listAgents(store: Datastore, request: ListAgentsRequest) {
  const test = agentFilter(request.filter);
  const page = await readPage(
    { size: request.pageSize, token: request.pageToken },
    (part) => store.list('node', part),
    ({ value }) =>
      test(value) ? applyMask(AgentSchema, agentToWire(value), request.outputMask, 'id') : undefined,
  );
  return create(ListAgentsResponseSchema, { agents: page.items, nextPageToken: page.nextToken });
}

function nodeMethods(
  deps: AgentApiDeps,
): Pick<Methods, 'attestAgent' | 'renewAgent' | 'createJoinToken' | 'postStatus'> {
  return {
    attestAgent: (requests, call) => attest(deps, requests, call),
    renewAgent: (request, call) => renew(deps, request, call),
    createJoinToken: (request, call) => createJoinToken(deps, request, call),
    postStatus: async (request, call) => {
      await deps.limits.postStatus.take(call.address, 1, call);
      const { agentVersion } = request;
      if (agentVersion.length > MAX_VERSION) {
        throw new TouchmarkError(
          'argument_invalid',
          `agent_version is longer than ${MAX_VERSION} characters`,
        );
      }
      const { id } = call.node();
      call.audit({ agent_id: id, agent_version: agentVersion });
      await deps.nodes.setVersion(id, agentVersion);
      return create(PostStatusResponseSchema);
    },
  };
}

type AttestRequests = Parameters<typeof attestAgent>[1];

async function* attest(deps: AgentApiDeps, requests: AttestRequests, call: ApiCall) {
  await deps.limits.attest.take(call.address, 1, call);
  for await (const response of attestAgent(deps.attest, requests, call)) {
    const { step } = response;
    const id = step.case === 'result' ? step.value.svid?.id : undefined;
    if (id !== undefined) call.audit({ agent_id: `spiffe://${id.trustDomain}${id.path}` });
    yield response;
  }
}

/** Only for nodes that cannot prove themselves again; the new serial is in force once it is presented. */
async function renew(deps: AgentApiDeps, request: RenewAgentRequest, call: ApiCall) {
  const params = checkPresent('params', request.params);
  await deps.limits.x509.take(call.address, 1, call);
  const { id, canReattest, attestationNumber } = call.node();
  if (canReattest) {
    throw new TouchmarkError('agent_must_reattest', `agent ${id} renews its SVID by attesting again`);
  }
  call.issuingNode();
  const { spki } = readCsr(params.csr);
  for (let wait = reserve(deps, id); wait; wait = reserve(deps, id)) await wait;
  call.issuingNode();
  const svid = deps.issuer.agentX509({ id, node: id, spki, ttl: deps.agentTtl });
  await deps.nodes.renewed(id, attestationNumber, svid.serial, svid.expiresAt);
  call.audit({
    agent_id: id,
    csr_sha256: csrDigest(params.csr),
    serial: svid.serial,
    expires_at: svid.expiresAt,
  });
  return create(RenewAgentResponseSchema, { svid: x509SvidToWire(svid, '') });
}

function reserve({ issuer, agentTtl }: AgentApiDeps, id: SpiffeId): Promise<void> | undefined {
  return issuer.reserve(id, 'agent', agentTtl, 1);
}

/** The token is told once, here; what is stored is its hash. */
async function createJoinToken(deps: AgentApiDeps, request: CreateJoinTokenRequest, call: ApiCall) {
  if (request.ttl < 1) throw new TouchmarkError('argument_invalid', `ttl: ${request.ttl} is not above zero`);
  const value = request.token === '' ? randomUUID() : request.token;
  checkToken(value);
  const nodeId = makeSpiffeId(deps.trustDomain, `/spire/agent/join_token/${value}`);
  const alias =
    request.agentId === undefined
      ? undefined
      : aliasEntry(memberFromWire('agent_id', request.agentId, deps.trustDomain), nodeId);
  const expiresAt = unixSeconds(deps.clock) + request.ttl;
  const hash = createHash('sha256').update(value).digest('hex');
  try {
    const key = { kind: 'join_token', key: hash } as const;
    await deps.store.commit([{ ...key, value: { hash, expiresAt } }], [{ ...key, revision: 0 }]);
  } catch (cause) {
    if (!hasCode(cause, 'datastore_conflict')) throw cause;
    throw new TouchmarkError('join_token_exists', 'this token exists already', { cause });
  }
  if (alias !== undefined) await createAlias(deps, alias, hash);
  call.audit({ expires_at: expiresAt, ...(alias === undefined ? {} : { spiffe_id: alias.spiffeId }) });
  return create(JoinTokenSchema, { value, expiresAt: BigInt(expiresAt) });
}

/** It becomes the last part of an SPIFFE ID, so it is held to that part's characters. */
function checkToken(value: string): void {
  if (value.length <= MAX_TOKEN && /^[A-Za-z0-9._-]+$/.test(value) && value !== '.' && value !== '..') return;
  throw new TouchmarkError(
    'argument_invalid',
    `token: it is not at most ${MAX_TOKEN} characters out of A-Z a-z 0-9 . _ -`,
  );
}

/** Without its entry the token would be a weaker thing than what was asked for: it is taken back. */
async function createAlias(deps: AgentApiDeps, alias: EntryDraft, hash: string): Promise<void> {
  const [outcome] = await deps.entries.create([alias]);
  if (outcome?.error === undefined) return;
  await deps.store.commit([{ kind: 'join_token', key: hash, deleted: true }]);
  throw outcome.error;
}

function aliasEntry(spiffeId: SpiffeId, parentId: SpiffeId): EntryDraft {
  return {
    id: '',
    spiffeId,
    parentId,
    selectors: [{ type: 'spiffe_id', value: parentId }],
    x509SvidTtl: 0,
    jwtSvidTtl: 0,
    federatesWith: [],
    admin: false,
    downstream: false,
    expiresAt: 0,
    dnsNames: [],
    storeSvid: false,
    hint: '',
    disableX509SvidPrefetch: false,
    jwtSvidIncludeJti: false,
  };
}

/** Who acts, as records of hosts name them. */
export function byWhom(call: Pick<ApiCall, 'caller'>): string {
  const { caller } = call;
  if (caller.via === 'unix') return `uid ${caller.uid}`;
  return caller.svid?.id ?? String(describeCaller(caller)['caller_addr']);
}
