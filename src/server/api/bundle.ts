import { create } from '@bufbuild/protobuf';
import { TouchmarkError } from '../../errors.js';
import type { TrustDomain } from '../../spiffe/id.js';
import { bundleToWire, jwtAuthorityToWire } from '../../wire/bundle.js';
import {
  BatchCreateFederatedBundleResponse_ResultSchema,
  BatchCreateFederatedBundleResponseSchema,
  BatchDeleteFederatedBundleResponse_ResultSchema,
  BatchDeleteFederatedBundleResponseSchema,
  BatchSetFederatedBundleResponse_ResultSchema,
  BatchSetFederatedBundleResponseSchema,
  BatchUpdateFederatedBundleResponse_ResultSchema,
  BatchUpdateFederatedBundleResponseSchema,
  type Bundle,
  CountBundlesResponseSchema,
  ListFederatedBundlesResponseSchema,
  PublishJWTAuthorityResponseSchema,
} from '../../wire/gen/spire/server/bundle_pb.js';
import type { BundleMask, Status, Bundle as WireBundle } from '../../wire/gen/spire/types_pb.js';
import { trustDomainFromWire } from '../../wire/id.js';
import type { Limits } from '../access/limits.js';
import { bundleFromRecord, emptyBundleRecord } from '../authority/bundle.js';
import type { Bundles } from '../authority/foreign-bundles.js';
import type { Authority } from '../contract.js';
import type { BundleRecord } from '../model.js';
import {
  jwtFromWire,
  jwtKeyFromWire,
  mergeRecord,
  recordFromWire,
  recordToWire,
  x509FromWire,
} from './bundle-wire.js';
import { okStatus, statusOf } from './convert.js';
import { type DownstreamDeps, downstreamCaller } from './downstream.js';
import { checkLength, checkPresent, foreignDomainFromWire } from './fields.js';
import { readPage } from './paging.js';
import type { ApiCall, ApiService } from './service.js';

export interface BundleApiDeps extends DownstreamDeps {
  readonly authority: Authority;
  readonly bundles: Bundles;
  readonly limits: Limits;
  readonly trustDomain: TrustDomain;
}

const MAX_ITEMS = 200;

type Methods = ApiService<typeof Bundle>;
type OwnMethod =
  | 'countBundles'
  | 'getBundle'
  | 'appendBundle'
  | 'publishJWTAuthority'
  | 'publishWITAuthority';
type ReadMethod = 'listFederatedBundles' | 'getFederatedBundle';

export function bundleService(deps: BundleApiDeps): Methods {
  return { ...ownBundle(deps), ...foreignBundles(deps), ...foreignChanges(deps) };
}

function ownBundle(deps: BundleApiDeps): Pick<Methods, OwnMethod> {
  const { authority, trustDomain } = deps;
  return {
    // The own bundle is counted too, as SPIRE does.
    countBundles: async () =>
      create(CountBundlesResponseSchema, { count: authority.foreignDomains().length + 1 }),
    getBundle: async (request) => bundleToWire(authority.bundle(), request.outputMask),
    appendBundle: async (request, call) => {
      if (request.witAuthorities.length > 0) throw noWit('wit_authorities');
      const x509Authorities = x509FromWire('x509_authorities', request.x509Authorities);
      const jwtAuthorities = jwtFromWire('jwt_authorities', request.jwtAuthorities);
      call.audit({ count: x509Authorities.length + jwtAuthorities.length });
      const { x509Authorities: x509, jwtAuthorities: jwt } = bundleFromRecord(trustDomain, {
        ...emptyBundleRecord(trustDomain, 0),
        x509Authorities,
        jwtAuthorities,
      });
      const bundle = await authority.append({ x509Authorities: x509, jwtAuthorities: jwt });
      return bundleToWire(bundle, request.outputMask);
    },
    publishJWTAuthority: async (request, call) => {
      await deps.limits.publish.take(call.address, 1, call);
      const key = jwtKeyFromWire('jwt_authority', checkPresent('jwt_authority', request.jwtAuthority));
      call.audit({ authority_id: key.keyId, spiffe_id: downstreamCaller(deps, call).id });
      const added = bundleFromRecord(trustDomain, {
        ...emptyBundleRecord(trustDomain, 0),
        jwtAuthorities: [key],
      });
      const bundle = await authority.append({ x509Authorities: [], jwtAuthorities: added.jwtAuthorities });
      const jwtAuthorities = bundle.jwtAuthorities.map(jwtAuthorityToWire);
      return create(PublishJWTAuthorityResponseSchema, { jwtAuthorities });
    },
    publishWITAuthority: async () => {
      throw noWit('PublishWITAuthority');
    },
  };
}

function foreignBundles({ bundles, trustDomain }: BundleApiDeps): Pick<Methods, ReadMethod> {
  return {
    listFederatedBundles: async (request) => {
      const page = await readPage(
        { size: request.pageSize, token: request.pageToken },
        (part) => bundles.list(part),
        ({ value }) => recordToWire(value, request.outputMask),
      );
      return create(ListFederatedBundlesResponseSchema, {
        bundles: page.items,
        nextPageToken: page.nextToken,
      });
    },
    getFederatedBundle: async (request) => {
      const domain = foreignDomainFromWire('trust_domain', request.trustDomain, trustDomain);
      const record = await bundles.get(domain);
      if (record !== undefined) return recordToWire(record, request.outputMask);
      throw new TouchmarkError('bundle_not_found', `there is no bundle of trust domain ${domain}`);
    },
  };
}

function foreignChanges(deps: BundleApiDeps): Omit<Methods, OwnMethod | ReadMethod> {
  const { bundles, trustDomain } = deps;
  return {
    batchCreateFederatedBundle: async ({ bundle, outputMask }, call) => {
      const results = await eachBundle(deps, bundle, outputMask, call, (record) => bundles.create(record));
      return create(BatchCreateFederatedBundleResponseSchema, {
        results: results.map((one) => create(BatchCreateFederatedBundleResponse_ResultSchema, one)),
      });
    },
    batchUpdateFederatedBundle: async ({ bundle, inputMask, outputMask }, call) => {
      const results = await eachBundle(deps, bundle, outputMask, call, (record) =>
        bundles.update(trustDomainFromWire(record.trustDomain, 'trust_domain'), (before) =>
          mergeRecord(before, record, inputMask),
        ),
      );
      return create(BatchUpdateFederatedBundleResponseSchema, {
        results: results.map((one) => create(BatchUpdateFederatedBundleResponse_ResultSchema, one)),
      });
    },
    batchSetFederatedBundle: async ({ bundle, outputMask }, call) => {
      const results = await eachBundle(deps, bundle, outputMask, call, (record) => bundles.set(record));
      return create(BatchSetFederatedBundleResponseSchema, {
        results: results.map((one) => create(BatchSetFederatedBundleResponse_ResultSchema, one)),
      });
    },
    batchDeleteFederatedBundle: async ({ trustDomains, mode }, call) => {
      checkLength('trust_domains', trustDomains, MAX_ITEMS);
      call.audit({ trust_domains: trustDomains, mode });
      const results = [];
      for (const name of trustDomains) {
        const status = await statusFrom(async () => {
          const domain = foreignDomainFromWire('trust_domains', name, trustDomain);
          await bundles.remove(domain, mode);
        });
        results.push(create(BatchDeleteFederatedBundleResponse_ResultSchema, { status, trustDomain: name }));
      }
      return create(BatchDeleteFederatedBundleResponseSchema, { results });
    },
  };
}

interface BundleResult {
  status: Status;
  bundle?: WireBundle;
}

/** One status for each bundle, in order; one that fails does not hold up the others. */
async function eachBundle(
  deps: BundleApiDeps,
  items: readonly WireBundle[],
  mask: BundleMask | undefined,
  call: ApiCall,
  change: (record: BundleRecord) => Promise<BundleRecord>,
): Promise<BundleResult[]> {
  checkLength('bundle', items, MAX_ITEMS);
  call.audit({ count: items.length, trust_domains: items.map((one) => one.trustDomain) });
  const results: BundleResult[] = [];
  for (const item of items) {
    let bundle: WireBundle | undefined;
    const status = await statusFrom(async () => {
      bundle = recordToWire(await change(recordFromWire(item, deps.trustDomain)), mask);
    });
    results.push(bundle === undefined ? { status } : { status, bundle });
  }
  return results;
}

async function statusFrom(run: () => Promise<void>): Promise<Status> {
  try {
    await run();
    return okStatus();
  } catch (error) {
    if (error instanceof TouchmarkError) return statusOf(error);
    throw error;
  }
}

function noWit(what: string): TouchmarkError {
  return new TouchmarkError('wit_unsupported', `${what}: this server does not publish WIT authorities`);
}
