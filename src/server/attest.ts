/**
 * AttestAgent, step by step: sizes -> attestor -> attest -> banned? -> sign -> commit -> result.
 * The certificate request is read once, before anything is proved with it; its bytes are what the attestor binds, and
 * its key is what is certified.
 */
import { create } from '@bufbuild/protobuf';
import type { Clock } from '../clock.js';
import { hasCode, TouchmarkError } from '../errors.js';
import { pathOf, type SpiffeId, trustDomainOf } from '../spiffe/id.js';
import {
  type AttestAgentRequest,
  type AttestAgentResponse,
  AttestAgentResponseSchema,
} from '../wire/gen/spire/server/agent_pb.js';
import { readCsr } from '../x509/csr.js';
import type { IssuedX509, Issuer } from './contract.js';
import { converse, type Talk } from './conversation.js';
import type { Condition, Datastore, Stored, Write } from './datastores/contract.js';
import type { Node } from './model.js';
import { type AttestedIdentity, attestationLimits, type NodeAttestor } from './node-attestors/contract.js';
import { knownAttestorTypes } from './node-attestors/table.js';
import type { NodeEvents } from './nodes/events.js';

export interface AttestDeps {
  /** What the operator configured, by type. */
  readonly attestors: ReadonlyMap<string, NodeAttestor>;
  readonly store: Datastore;
  readonly issuer: Issuer;
  readonly clock: Clock;
  readonly onEvent: NodeEvents;
  /** Seconds. */
  readonly agentTtl: number;
  /** Milliseconds that each message of the agent may take. */
  readonly answerMs: number;
}

/** What is known of the connection. */
export interface AttestCall {
  /** DER of the leaf that this connection was shown; empty where there is no TLS. Read only by attestors that bind to it. */
  readonly serverLeaf: Uint8Array;
  /** Without port; empty on a Unix socket. */
  readonly address: string;
  readonly signal: AbortSignal;
}

interface Opening {
  readonly type: string;
  readonly payload: Uint8Array;
  readonly csr: Uint8Array;
  /** Of that very request, whose own signature was good. */
  readonly spki: Uint8Array;
}

type AgentTalk = Talk<AttestAgentRequest, AttestAgentResponse>;

/**
 * One attestation.
 * @throws TouchmarkError what the step that failed says; nothing was written unless a result was yielded
 */
export function attestAgent(
  deps: AttestDeps,
  requests: AsyncIterable<AttestAgentRequest>,
  call: AttestCall,
): AsyncGenerator<AttestAgentResponse, void, undefined> {
  const limits = { clock: deps.clock, answerMs: deps.answerMs, signal: call.signal };
  return converse(requests, limits, async (talk: AgentTalk) => {
    const opening = readOpening(await talk.receive());
    const attestor = attestorFor(deps, opening.type);
    const identity = await attestor.attest({
      payload: opening.payload,
      csr: opening.csr,
      get serverLeaf() {
        return call.serverLeaf;
      },
      address: call.address,
      signal: call.signal,
      challenge: challengesOver(talk),
    });
    const before = await deps.store.get('node', identity.nodeId);
    refuseBanned(before);
    if (identity.refused !== undefined) return await recordRefusal(deps, identity, before, identity.refused);
    const id = identity.nodeId;
    for (let wait = reserve(deps, id); wait; wait = reserve(deps, id)) await wait;
    const svid = deps.issuer.agentX509({ id, node: id, spki: opening.spki, ttl: deps.agentTtl });
    const node = nodeAfter(before?.value, opening.type, identity, svid);
    await commitAttestation(deps.store, node, before, identity);
    reportAttestation(deps, node, call);
    identity.committed?.();
    return resultOf(svid, identity.canReattest);
  });
}

/** A serial number by which the SVID can be withdrawn. */
function reserve({ issuer, agentTtl }: AttestDeps, id: SpiffeId): Promise<void> | undefined {
  return issuer.reserve(id, 'agent', agentTtl, 1);
}

function readOpening(request: AttestAgentRequest): Opening {
  if (request.step.case !== 'params') {
    throw new TouchmarkError('attestation_request_invalid', 'the first message does not hold params');
  }
  const { data, params } = request.step.value;
  if (data === undefined || data.type === '' || params === undefined) {
    throw new TouchmarkError(
      'attestation_request_invalid',
      'params lack the attestation data or the certificate request',
    );
  }
  checkSize('attestation payload', data.payload, attestationLimits.payloadBytes);
  checkSize('certificate request', params.csr, attestationLimits.csrBytes);
  const csr = Uint8Array.from(params.csr);
  return { type: data.type, payload: data.payload, csr, spki: readCsr(csr).spki };
}

function attestorFor(deps: AttestDeps, type: string): NodeAttestor {
  const attestor = deps.attestors.get(type);
  if (attestor !== undefined) return attestor;
  const name = JSON.stringify(type.slice(0, 64));
  if (knownAttestorTypes.includes(type)) {
    throw new TouchmarkError('attestor_not_configured', `this server does not accept the attestor ${name}`);
  }
  throw new TouchmarkError('attestor_unknown', `there is no attestor ${name}`);
}

function challengesOver(talk: AgentTalk): (bytes: Uint8Array, most?: number) => Promise<Uint8Array> {
  let rounds = 0;
  let received = 0;
  return async (bytes, most = attestationLimits.answerBytes) => {
    rounds += 1;
    if (rounds > attestationLimits.rounds) {
      throw new TouchmarkError(
        'attestation_request_invalid',
        `more than ${attestationLimits.rounds} challenges`,
      );
    }
    talk.send(create(AttestAgentResponseSchema, { step: { case: 'challenge', value: bytes } }));
    const { step } = await talk.receive();
    if (step.case !== 'challengeResponse') {
      throw new TouchmarkError('attestation_request_invalid', 'a challenge was not followed by its answer');
    }
    checkSize('answer to the challenge', step.value, Math.min(most, attestationLimits.largeAnswerBytes));
    received += step.value.length;
    if (received > attestationLimits.allAnswersBytes) {
      const message = `the answers have more than ${attestationLimits.allAnswersBytes} bytes together`;
      throw new TouchmarkError('attestation_too_large', message);
    }
    return step.value;
  };
}

function refuseBanned(before: Stored<Node> | undefined): void {
  if (before?.value.banned !== true) return;
  throw new TouchmarkError('agent_banned', `node ${before.value.id} is banned`);
}

/** Its node keeps its SVID for as long as that lasts, and loses what it was selected by. @throws `refusal`, once it is written */
async function recordRefusal(
  { store }: AttestDeps,
  identity: AttestedIdentity,
  before: Stored<Node> | undefined,
  refusal: TouchmarkError,
): Promise<never> {
  const { writes, conditions, nodeId, selectors } = identity;
  const node: Write[] =
    before === undefined ? [] : [{ kind: 'node', key: nodeId, value: { ...before.value, selectors } }];
  await commitTogether(store, nodeId, [...node, ...writes], [seen(nodeId, before), ...conditions]);
  identity.committed?.();
  throw refusal;
}

function nodeAfter(
  before: Node | undefined,
  attestationType: string,
  identity: AttestedIdentity,
  svid: IssuedX509,
): Node {
  return {
    id: identity.nodeId,
    attestationType,
    selectors: identity.selectors,
    serial: svid.serial,
    nextSerial: '',
    svidExpiresAt: svid.expiresAt,
    canReattest: identity.canReattest,
    banned: false,
    agentVersion: before?.agentVersion ?? '',
    attestationNumber: (before?.attestationNumber ?? 0) + 1,
    ...(identity.hostId === undefined ? {} : { hostId: identity.hostId }),
  };
}

/** All of it or nothing: the node, what the attestor wants written, under the conditions that both saw. */
function commitAttestation(
  store: Datastore,
  node: Node,
  before: Stored<Node> | undefined,
  identity: AttestedIdentity,
): Promise<void> {
  const writes: Write[] = [{ kind: 'node', key: node.id, value: node }, ...identity.writes];
  return commitTogether(store, node.id, writes, [seen(node.id, before), ...identity.conditions]);
}

function seen(key: string, before: Stored<Node> | undefined): Condition {
  return { kind: 'node', key, revision: before?.revision ?? 0 };
}

async function commitTogether(
  store: Datastore,
  nodeId: string,
  writes: readonly Write[],
  conditions: readonly Condition[],
): Promise<void> {
  try {
    await store.commit(writes, conditions);
  } catch (cause) {
    if (!hasCode(cause, 'datastore_conflict')) throw cause;
    const message = `node ${nodeId} or its host was changed while it attested`;
    throw new TouchmarkError('attestation_raced', message, { cause });
  }
}

function reportAttestation(deps: AttestDeps, node: Node, call: AttestCall): void {
  const { id: nodeId, attestationType: type, serial, attestationNumber } = node;
  deps.onEvent({ name: 'node_attested', nodeId, type, serial, attestationNumber, address: call.address });
}

function resultOf(svid: IssuedX509, reattestable: boolean): AttestAgentResponse {
  const id = { trustDomain: trustDomainOf(svid.id), path: pathOf(svid.id) };
  const wire = { certChain: [...svid.chain], id, expiresAt: BigInt(svid.expiresAt) };
  return create(AttestAgentResponseSchema, { step: { case: 'result', value: { svid: wire, reattestable } } });
}

function checkSize(what: string, bytes: Uint8Array, most: number): void {
  if (bytes.length <= most) return;
  throw new TouchmarkError(
    'attestation_too_large',
    `the ${what} has ${bytes.length} bytes; at most ${most} are read`,
  );
}
