import { create } from '@bufbuild/protobuf';
import { TouchmarkError } from '../../errors.js';
import {
  ActivateJWTAuthorityResponseSchema,
  ActivateX509AuthorityResponseSchema,
  AuthorityStateSchema,
  GetJWTAuthorityStateResponseSchema,
  GetX509AuthorityStateResponseSchema,
  type LocalAuthority,
  PrepareJWTAuthorityResponseSchema,
  PrepareX509AuthorityResponseSchema,
  RevokeJWTAuthorityResponseSchema,
  RevokeX509AuthorityResponseSchema,
  RevokeX509UpstreamAuthorityResponseSchema,
  TaintJWTAuthorityResponseSchema,
  TaintX509AuthorityResponseSchema,
  TaintX509UpstreamAuthorityResponseSchema,
  type AuthorityState as WireState,
} from '../../wire/gen/spire/server/localauthority_pb.js';
import type { Authority, AuthorityState } from '../contract.js';
import type { AuthorityRecord } from '../model.js';
import type { ApiCall, ApiService } from './service.js';

/** Manual rotation and revocation; what each step means is decided by the authority's slots. */
type Methods = ApiService<typeof LocalAuthority>;
type MethodsOf<K extends 'X509' | 'JWT' | 'WIT'> = Pick<
  Methods,
  Extract<keyof Methods, `${string}${K}${string}`>
>;

export function localAuthorityService(authority: Authority): Methods {
  return {
    ...x509Methods(authority),
    ...jwtMethods(authority),
    getWITAuthorityState: noWit,
    prepareWITAuthority: noWit,
    activateWITAuthority: noWit,
    taintWITAuthority: noWit,
    revokeWITAuthority: noWit,
  };
}

function x509Methods(authority: Authority): MethodsOf<'X509'> {
  const { x509 } = authority;
  return {
    getX509AuthorityState: async () => create(GetX509AuthorityStateResponseSchema, stateToWire(x509.state())),
    prepareX509Authority: async (_, call) =>
      create(PrepareX509AuthorityResponseSchema, { preparedAuthority: done(call, await x509.prepare()) }),
    activateX509Authority: async (request, call) => {
      const record = await x509.activate(authorityId(request, call));
      return create(ActivateX509AuthorityResponseSchema, { activatedAuthority: done(call, record) });
    },
    taintX509Authority: async (request, call) => {
      const record = await x509.taint(authorityId(request, call));
      return create(TaintX509AuthorityResponseSchema, { taintedAuthority: done(call, record) });
    },
    revokeX509Authority: async (request, call) => {
      const record = await x509.revoke(authorityId(request, call));
      return create(RevokeX509AuthorityResponseSchema, { revokedAuthority: done(call, record) });
    },
    taintX509UpstreamAuthority: async (request, call) => {
      const upstreamAuthoritySubjectKeyId = subjectKeyId(request, call);
      await authority.taintUpstream(upstreamAuthoritySubjectKeyId);
      return create(TaintX509UpstreamAuthorityResponseSchema, { upstreamAuthoritySubjectKeyId });
    },
    revokeX509UpstreamAuthority: async (request, call) => {
      const upstreamAuthoritySubjectKeyId = subjectKeyId(request, call);
      await authority.revokeUpstream(upstreamAuthoritySubjectKeyId);
      return create(RevokeX509UpstreamAuthorityResponseSchema, { upstreamAuthoritySubjectKeyId });
    },
  };
}

function jwtMethods({ jwt }: Authority): MethodsOf<'JWT'> {
  return {
    getJWTAuthorityState: async () => create(GetJWTAuthorityStateResponseSchema, stateToWire(jwt.state())),
    prepareJWTAuthority: async (_, call) =>
      create(PrepareJWTAuthorityResponseSchema, { preparedAuthority: done(call, await jwt.prepare()) }),
    activateJWTAuthority: async (request, call) => {
      const record = await jwt.activate(authorityId(request, call));
      return create(ActivateJWTAuthorityResponseSchema, { activatedAuthority: done(call, record) });
    },
    taintJWTAuthority: async (request, call) => {
      const record = await jwt.taint(authorityId(request, call));
      return create(TaintJWTAuthorityResponseSchema, { taintedAuthority: done(call, record) });
    },
    revokeJWTAuthority: async (request, call) => {
      const record = await jwt.revoke(authorityId(request, call));
      return create(RevokeJWTAuthorityResponseSchema, { revokedAuthority: done(call, record) });
    },
  };
}

function authorityId(request: { readonly authorityId: string }, call: ApiCall): string {
  if (request.authorityId === '') throw new TouchmarkError('argument_invalid', 'authority_id is empty');
  call.audit({ authority_id: request.authorityId });
  return request.authorityId;
}

function subjectKeyId(request: { readonly subjectKeyId: string }, call: ApiCall): string {
  if (request.subjectKeyId === '') throw new TouchmarkError('argument_invalid', 'subject_key_id is empty');
  call.audit({ subject_key_id: request.subjectKeyId });
  return request.subjectKeyId;
}

function done(call: ApiCall, record: AuthorityRecord): WireState {
  call.audit({ authority_id: record.id });
  return recordToWire(record);
}

function stateToWire({ active, prepared, old }: AuthorityState) {
  return {
    ...(active === undefined ? {} : { active: recordToWire(active) }),
    ...(prepared === undefined ? {} : { prepared: recordToWire(prepared) }),
    ...(old === undefined ? {} : { old: recordToWire(old) }),
  };
}

function recordToWire(record: AuthorityRecord): WireState {
  return create(AuthorityStateSchema, {
    authorityId: record.id,
    expiresAt: BigInt(record.expiresAt),
    upstreamAuthoritySubjectKeyId: record.upstreamAuthorityId,
  });
}

async function noWit(): Promise<never> {
  throw new TouchmarkError('wit_unsupported', 'this server has no WIT authorities');
}
