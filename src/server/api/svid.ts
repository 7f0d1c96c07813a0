import { setImmediate } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import { type Clock, unixSeconds } from '../../clock.js';
import { TouchmarkError } from '../../errors.js';
import { checkDnsNames } from '../../spiffe/dns-name.js';
import type { Entry } from '../../spiffe/entry.js';
import type { SpiffeId, TrustDomain } from '../../spiffe/id.js';
import {
  type BatchNewX509SVIDResponse_Result,
  BatchNewX509SVIDResponse_ResultSchema,
  BatchNewX509SVIDResponseSchema,
  MintJWTSVIDResponseSchema,
  MintX509SVIDResponseSchema,
  NewDownstreamX509CAResponseSchema,
  NewJWTSVIDResponseSchema,
  type NewX509SVIDParams,
  type SVID,
} from '../../wire/gen/spire/server/svid_pb.js';
import { readCsr } from '../../x509/csr.js';
import type { Limits } from '../access/limits.js';
import type { Privileged } from '../access/privileged.js';
import type { Authority, Issuer, Registry } from '../contract.js';
import { awaitMeasured, checkMeasured, type MeasuredDeps } from '../issuing/measured.js';
import type { Serials } from '../issuing/serials.js';
import type { Node } from '../model.js';
import { csrDigest, jwtSvidToWire, okStatus, statusOf, x509SvidToWire } from './convert.js';
import { downstreamCaller } from './downstream.js';
import { checkAudience, checkLength, checkTtl, memberFromWire, workloadId } from './fields.js';
import type { ApiCall, ApiService } from './service.js';

export interface SvidDeps {
  readonly registry: Registry;
  readonly authority: Authority;
  readonly issuer: Issuer;
  readonly limits: Limits;
  readonly privileged: Privileged;
  /** For which node a downstream server's SVID was issued. */
  readonly serials: Pick<Serials, 'holderOf'>;
  /** What entries with `binary:measured:true` are checked against. */
  readonly measurements: MeasuredDeps;
  /** @throws TouchmarkError when the node's state permits nothing now */
  readonly permitIssuance: (node: Node) => void;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
}

/** As many as SPIRE's agents ask for at once. */
const MAX_BATCH = 500;
/** Signatures between two looks at whatever else waits: about 5 ms of work. */
const SIGNATURES_PER_TURN = 16;

type Methods = ApiService<typeof SVID>;
type MintMethod = 'mintX509SVID' | 'mintJWTSVID' | 'mintWITSVID';

export function svidService(deps: SvidDeps): Methods {
  return { ...mintMethods(deps), ...issueMethods(deps) };
}

/** What operators have signed without an entry. */
function mintMethods(deps: SvidDeps): Pick<Methods, MintMethod> {
  return {
    mintWITSVID: async () => {
      throw noWit('MintWITSVID');
    },
    // Of the request its key, URI and DNS names are used. Its subject is not, where SPIRE copies it: a SPIFFE certificate is
    // named by its URI, and a subject that nobody vouches for would be read as a name by software that knows no better.
    mintX509SVID: async (request, call) => {
      checkTtl('ttl', request.ttl);
      const csr = readCsr(request.csr);
      const [uri, ...more] = csr.uris;
      if (uri === undefined || more.length > 0) {
        throw new TouchmarkError(
          'argument_invalid',
          `csr has ${csr.uris.length} URIs; it must have exactly one`,
        );
      }
      const id = workloadId('csr', uri, deps.trustDomain);
      checkDnsNames(csr.dnsNames);
      const svid = deps.issuer.workloadX509({ id, spki: csr.spki, ttl: request.ttl, dnsNames: csr.dnsNames });
      call.audit({
        spiffe_id: id,
        csr_sha256: csrDigest(request.csr),
        serial: svid.serial,
        expires_at: svid.expiresAt,
      });
      return create(MintX509SVIDResponseSchema, { svid: x509SvidToWire(svid, '') });
    },
    mintJWTSVID: async (request, call) => {
      checkTtl('ttl', request.ttl);
      checkAudience('audience', request.audience);
      const id = workloadId('id', memberFromWire('id', request.id, deps.trustDomain), deps.trustDomain);
      const svid = deps.issuer.jwt({ id, audience: request.audience, ttl: request.ttl, withJti: false });
      call.audit({ spiffe_id: id, audience: request.audience, expires_at: svid.expiresAt });
      return create(MintJWTSVIDResponseSchema, { svid: jwtSvidToWire(svid, '') });
    },
  };
}

/** What nodes and downstream servers have signed for their entries. */
function issueMethods(deps: SvidDeps): Omit<Methods, MintMethod> {
  return {
    batchNewX509SVID: (request, call) => batchNewX509(deps, request.params, call),
    newJWTSVID: async (request, call) => {
      checkAudience('audience', request.audience);
      await deps.limits.jwt.take(call.address, 1, call);
      await measured(deps, call, [request]);
      const reserve = () => reserveToken(deps, call.issuingNode(), request.entryId);
      for (let wait = reserve(); wait; wait = reserve()) await wait;
      const node = call.issuingNode();
      const entry = authorizedEntry(deps, node, request.entryId);
      const { spiffeId: id, jwtSvidTtl: ttl, jwtSvidIncludeJti: withJti } = entry;
      const svid = deps.issuer.jwt({ id, audience: request.audience, ttl, withJti, node: node.id });
      call.audit({
        entry_ids: [entry.id],
        spiffe_id: id,
        audience: request.audience,
        expires_at: svid.expiresAt,
      });
      return create(NewJWTSVIDResponseSchema, { svid: jwtSvidToWire(svid, entry.hint) });
    },
    newDownstreamX509CA: async (request, call) => {
      checkTtl('preferred_ttl', request.preferredTtl);
      await deps.limits.x509.take(call.address, 1, call);
      const { spki } = readCsr(request.csr);
      const reserve = () => reserveDownstream(deps, downstreamCaller(deps, call).node, request.preferredTtl);
      for (let wait = reserve(); wait; wait = reserve()) await wait;
      const { id, node } = downstreamCaller(deps, call);
      const ca = deps.issuer.downstreamCa({ spki, ttl: request.preferredTtl, node });
      call.audit({
        spiffe_id: id,
        csr_sha256: csrDigest(request.csr),
        serial: ca.serial,
        expires_at: ca.expiresAt,
      });
      return create(NewDownstreamX509CAResponseSchema, {
        caCertChain: [...ca.chain],
        x509Authorities: deps.authority.bundle().x509Authorities.map((one) => one.der),
      });
    },
    batchNewWITSVID: async () => {
      throw noWit('BatchNewWITSVID');
    },
  };
}

async function batchNewX509(deps: SvidDeps, params: readonly NewX509SVIDParams[], call: ApiCall) {
  if (params.length === 0) throw new TouchmarkError('argument_invalid', 'params is empty');
  checkLength('params', params, MAX_BATCH);
  await deps.limits.x509.take(call.address, params.length, call);
  await measured(deps, call, params);
  const results: BatchNewX509SVIDResponse_Result[] = [];
  let failed = 0;
  let node = call.issuingNode();
  for (const [index, param] of params.entries()) {
    if (index > 0 && index % SIGNATURES_PER_TURN === 0) {
      await setImmediate();
      node = call.issuingNode();
    }
    const left = params.length - index;
    for (let wait = reserveX509(deps, node, param, left); wait; wait = reserveX509(deps, node, param, left)) {
      await wait;
      node = call.issuingNode();
    }
    const result = newX509(deps, node, param);
    if (result.svid === undefined) failed += 1;
    results.push(result);
  }
  call.audit({ count: params.length, failed, entry_ids: params.slice(0, 20).map((param) => param.entryId) });
  return create(BatchNewX509SVIDResponseSchema, { results });
}

function measured(
  { measurements, registry }: SvidDeps,
  call: ApiCall,
  params: readonly { entryId: string }[],
) {
  const entries = params.map(({ entryId }) => registry.entry(entryId));
  return awaitMeasured(measurements, call.issuingNode(), entries);
}

/** Nearly always there is nothing to wait for. What nothing can be issued for, and why, `newX509` says. */
function reserveX509(deps: SvidDeps, node: Node, { entryId }: NewX509SVIDParams, hint: number) {
  const entry = deps.registry.entry(entryId);
  if (entry === undefined) return undefined;
  try {
    return deps.issuer.reserve(node.id, 'workload', entry.x509SvidTtl, hint);
  } catch (error) {
    if (!(error instanceof TouchmarkError)) throw error;
    return undefined;
  }
}

function reserveDownstream(deps: SvidDeps, node: SpiffeId | undefined, ttl: number) {
  return node === undefined ? undefined : deps.issuer.reserve(node, 'downstream', ttl, 1);
}

function reserveToken(deps: SvidDeps, node: Node, entryId: string) {
  const { jwtSvidTtl: ttl, jwtSvidIncludeJti: withJti } = authorizedEntry(deps, node, entryId);
  return deps.issuer.reserve(node.id, withJti ? 'jti' : 'jwt', ttl, 1);
}

/** Of the request only the public key is used, once its own signature was found good; everything else is the entry's. */
function newX509(deps: SvidDeps, node: Node, param: NewX509SVIDParams): BatchNewX509SVIDResponse_Result {
  try {
    const entry = authorizedEntry(deps, node, param.entryId);
    const { spki } = readCsr(param.csr);
    const { spiffeId: id, x509SvidTtl: ttl, dnsNames } = entry;
    const svid = deps.issuer.workloadX509({ id, spki, ttl, dnsNames, node: node.id });
    return create(BatchNewX509SVIDResponse_ResultSchema, {
      status: okStatus(),
      svid: x509SvidToWire(svid, entry.hint),
    });
  } catch (error) {
    if (!(error instanceof TouchmarkError)) throw error;
    return create(BatchNewX509SVIDResponse_ResultSchema, { status: statusOf(error) });
  }
}

/** The entry, if this node may have it now: a descendant of the node, not past its end, of a binary that was measured. */
function authorizedEntry(deps: SvidDeps, node: Node, id: string): Entry {
  if (id === '') throw new TouchmarkError('argument_invalid', 'entry_id is empty');
  const entry = deps.registry.entry(id);
  const ended = entry !== undefined && entry.expiresAt > 0 && entry.expiresAt <= unixSeconds(deps.clock);
  if (entry === undefined || ended || !deps.registry.isAuthorized(node.id, entry)) {
    const message = `entry ${JSON.stringify(id.slice(0, 255))} is unknown, or not for agent ${node.id}`;
    throw new TouchmarkError('entry_not_authorized', message);
  }
  checkMeasured(deps.measurements, node, entry);
  return entry;
}

function noWit(method: string): TouchmarkError {
  return new TouchmarkError('wit_unsupported', `${method}: this server does not issue WIT-SVIDs`);
}
