import { create, type JsonObject } from '@bufbuild/protobuf';
import { unixSeconds } from '../../clock.js';
import { TouchmarkError } from '../../errors.js';
import type { Call, ServiceImpl } from '../../rpc/call.js';
import type { Bundle } from '../../spiffe/bundle.js';
import { parseSpiffeId } from '../../spiffe/id.js';
import {
  JWTBundlesResponseSchema,
  JWTSVIDResponseSchema,
  type SpiffeWorkloadAPI,
  ValidateJWTSVIDResponseSchema,
  X509BundlesResponseSchema,
  type X509SVIDResponse,
  X509SVIDResponseSchema,
} from '../../wire/gen/spiffe/workload_pb.js';
import { jwtKeySetOf, x509BundleOf } from './bundle-bytes.js';
import type { WorkloadCaller } from './caller.js';
import {
  type BundleUpdate,
  bundlesOnce,
  bundleUpdates,
  type Delivery,
  jwtIdentities,
  type X509Update,
  x509Updates,
} from './deliver.js';
import { claimsOf, validateJwt } from './validate-jwt.js';

/** Below the 4 MiB that gRPC clients take by default. */
const MAX_MESSAGE_BYTES = 3.5 * 1024 * 1024;
/** IDs, hints, tags and lengths around an item's bytes. */
const ITEM_OVERHEAD_BYTES = 4096;
/** What rust-spiffe takes beside the own domain's. */
const MOST_BUNDLES = 199;
const MAX_AUDIENCES = 32;
const MAX_AUDIENCE_BYTES = 1024;
const MAX_TOKEN_BYTES = 64 * 1024;

/** The SPIFFE Workload API. The WIT profile is optional and not served: its methods answer Unimplemented. */
export function workloadApi(deps: Delivery): ServiceImpl<typeof SpiffeWorkloadAPI, WorkloadCaller> {
  return {
    async *fetchX509SVID(_request, { caller, signal }) {
      for await (const update of x509Updates(deps, caller.workload, signal)) yield x509Response(update);
    },
    async *fetchX509Bundles(_request, { caller, signal }) {
      for await (const update of bundleUpdates(deps, caller.workload, signal, 'x509')) {
        const crl = [...update.crls];
        const bundles = byDomain(update, x509BundleOf, sizeOfAll(crl));
        yield create(X509BundlesResponseSchema, { crl, bundles });
      }
    },
    async *fetchJWTBundles(_request, { caller, signal }) {
      for await (const update of bundleUpdates(deps, caller.workload, signal, 'jwt')) {
        const bundles = byDomain(update, jwtKeySetOf);
        yield create(JWTBundlesResponseSchema, { bundles });
      }
    },
    async fetchJWTSVID(request, call) {
      checkAudiences(request.audience);
      const id = request.spiffeId === '' ? '' : parseSpiffeId(request.spiffeId);
      const asked = { audience: request.audience, id };
      const tokens = await jwtIdentities(deps, call.caller.workload, asked, call.signal);
      const svids = tokens.map(({ id: spiffeId, token, hint }) => ({ spiffeId, svid: token, hint }));
      return create(JWTSVIDResponseSchema, { svids });
    },
    async validateJWTSVID(request, call) {
      checkValidateRequest(request);
      const bundles = await bundlesOnce(deps, call.caller.workload, call.signal);
      const svid = validateJwt(request.svid, request.audience, bundles, unixSeconds(deps.clock));
      const claims = claimsOf(svid) as JsonObject;
      return create(ValidateJWTSVIDResponseSchema, { spiffeId: svid.id, claims });
    },
  };
}

/** Every request to the Workload API carries this header, exactly once (Workload Endpoint section 3). */
export function checkSecurityHeader(call: Call<WorkloadCaller>): void {
  if (call.method.service !== 'SpiffeWorkloadAPI') return;
  const values = call.metadata.get('workload.spiffe.io');
  if (values.length === 1 && values[0] === 'true') return;
  throw new TouchmarkError('security_header_missing', 'security header missing from request');
}

function x509Response({ identities, own, federated, crls }: X509Update): X509SVIDResponse {
  const bundle = x509BundleOf(own);
  const svids = identities.map(({ entry, chain, key }) => ({
    spiffeId: entry.spiffeId,
    x509Svid: Buffer.concat(chain),
    x509SvidKey: key,
    bundle,
    hint: entry.hint,
  }));
  const foreign = [...federated].map(([name, each]) => [`spiffe://${name}`, x509BundleOf(each)] as const);
  const sizeOf = (svid: (typeof svids)[number]) =>
    svid.x509Svid.length + svid.x509SvidKey.length + bundle.length;
  const crl = [...crls];
  const room = MAX_MESSAGE_BYTES - sizeOfAll(crl);
  const kept = withinMessage(svids, sizeOf, Math.min(MAX_MESSAGE_BYTES / 2, room), 1);
  const left = room - kept.reduce((sum, svid) => sum + sizeOf(svid) + ITEM_OVERHEAD_BYTES, 0);
  const bundles = withinMessage(foreign.filter(nonEmpty), ([, bytes]) => bytes.length, left, 0);
  return create(X509SVIDResponseSchema, {
    svids: kept,
    crl,
    federatedBundles: Object.fromEntries(bundles.slice(0, MOST_BUNDLES)),
  });
}

/**
 * gRPC clients take no message above 4 MiB; what is over a share of that is left out from the end.
 * @param least so many are kept whatever their size
 */
function withinMessage<T>(
  items: readonly T[],
  sizeOf: (item: T) => number,
  most: number,
  least: number,
): T[] {
  let size = 0;
  return items.filter((item, index) => {
    size += sizeOf(item) + ITEM_OVERHEAD_BYTES;
    return index < least || size <= most;
  });
}

function sizeOfAll(items: readonly Uint8Array[]): number {
  return items.reduce((sum, { length }) => sum + length, 0);
}

/** @param taken bytes of the message that something else takes */
function byDomain(
  update: BundleUpdate,
  encode: (bundle: Bundle) => Uint8Array,
  taken = 0,
): Record<string, Uint8Array> {
  const all = [update.own, ...update.federated.values()];
  const named = all
    .map((bundle) => [`spiffe://${bundle.trustDomain}`, encode(bundle)] as const)
    .filter(nonEmpty);
  const kept = withinMessage(named, ([, bytes]) => bytes.length, MAX_MESSAGE_BYTES - taken, 1);
  return Object.fromEntries(kept.slice(0, MOST_BUNDLES + 1));
}

/** Clients refuse a whole message for one empty bundle; a domain without authorities is simply not named. */
function nonEmpty([, bytes]: readonly [string, Uint8Array]): boolean {
  return bytes.length > 0;
}

function checkAudiences(audience: readonly string[]): void {
  const bad = (message: string) => new TouchmarkError('audience_invalid', message);
  if (audience.length === 0) throw bad('audience: at least one must be given');
  if (audience.length > MAX_AUDIENCES) throw bad(`audience: at most ${MAX_AUDIENCES} may be given`);
  for (const value of audience) {
    if (value === '') throw bad('audience: must not be empty');
    if (Buffer.byteLength(value) > MAX_AUDIENCE_BYTES)
      throw bad(`audience: longer than ${MAX_AUDIENCE_BYTES} bytes`);
  }
}

function checkValidateRequest(request: { audience: string; svid: string }): void {
  checkAudiences(request.audience === '' ? [] : [request.audience]);
  if (request.svid === '') throw new TouchmarkError('jwt_svid_invalid', 'svid: must be given');
  if (request.svid.length > MAX_TOKEN_BYTES)
    throw new TouchmarkError('jwt_svid_invalid', 'svid: larger than 64 KiB');
}
