import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DescService } from '@bufbuild/protobuf';
import type { Role } from '../../../src/config/server-config.js';
import { roles } from '../../../src/config/server-config.js';
import { TouchmarkError } from '../../../src/errors.js';
import { authorize, ruleOf, type Standing } from '../../../src/server/access/authorize.js';
import { authorizeTable } from '../../../src/server/access/authorize-table.js';
import { Health } from '../../../src/wire/gen/grpc/health_pb.js';
import { ServerReflection } from '../../../src/wire/gen/grpc/reflection_pb.js';
import { ServerReflection as ReflectionAlpha } from '../../../src/wire/gen/grpc/reflection_v1alpha_pb.js';
import { Agent } from '../../../src/wire/gen/spire/server/agent_pb.js';
import { Bundle } from '../../../src/wire/gen/spire/server/bundle_pb.js';
import { Debug } from '../../../src/wire/gen/spire/server/debug_pb.js';
import { Entry } from '../../../src/wire/gen/spire/server/entry_pb.js';
import { LocalAuthority } from '../../../src/wire/gen/spire/server/localauthority_pb.js';
import { Logger } from '../../../src/wire/gen/spire/server/logger_pb.js';
import { SVID } from '../../../src/wire/gen/spire/server/svid_pb.js';
import { TrustDomain } from '../../../src/wire/gen/spire/server/trustdomain_pb.js';
import { Audit } from '../../../src/wire/gen/touchmark/audit/v1/audit_pb.js';
import { Deny } from '../../../src/wire/gen/touchmark/deny/v1/deny_pb.js';
import { Evidence } from '../../../src/wire/gen/touchmark/evidence/v1/evidence_pb.js';
import { Host } from '../../../src/wire/gen/touchmark/host/v1/host_pb.js';
import { Measurement } from '../../../src/wire/gen/touchmark/measure/v1/measure_pb.js';
import { Session } from '../../../src/wire/gen/touchmark/session/v1/session_pb.js';
import { throwsCode } from '../../support/rejects.js';

const services: readonly DescService[] = [
  ...[Agent, Bundle, Entry, SVID, TrustDomain, LocalAuthority, Logger, Debug],
  ...[Audit, Deny, Evidence, Measurement],
  ...[Host, Session, Health, ServerReflection, ReflectionAlpha],
];

const everyMethod = services.flatMap(({ typeName, methods }) =>
  methods.map(({ name }) => `/${typeName}/${name}`),
);

const nobody: Standing = {
  unix: false,
  role: undefined,
  agent: false,
  downstream: false,
  tainted: false,
  withdrawn: false,
  refusal: undefined,
};

/** Who may call what, written out a second time and by hand: A anybody, g agent, d downstream, roles v a p x, u Unix only. */
const expected: Readonly<Record<string, string>> = {
  '/spire.api.server.agent.v1.Agent/CountAgents': 'vapx',
  '/spire.api.server.agent.v1.Agent/ListAgents': 'vapx',
  '/spire.api.server.agent.v1.Agent/GetAgent': 'vapx',
  '/spire.api.server.agent.v1.Agent/DeleteAgent': 'x',
  '/spire.api.server.agent.v1.Agent/BanAgent': 'x',
  '/spire.api.server.agent.v1.Agent/AttestAgent': 'A',
  '/spire.api.server.agent.v1.Agent/RenewAgent': 'g',
  '/spire.api.server.agent.v1.Agent/CreateJoinToken': 'x',
  '/spire.api.server.agent.v1.Agent/PostStatus': 'g',
  '/spire.api.server.bundle.v1.Bundle/CountBundles': 'vapx',
  '/spire.api.server.bundle.v1.Bundle/GetBundle': 'A',
  '/spire.api.server.bundle.v1.Bundle/AppendBundle': 'x',
  '/spire.api.server.bundle.v1.Bundle/PublishJWTAuthority': 'd',
  '/spire.api.server.bundle.v1.Bundle/PublishWITAuthority': 'd',
  '/spire.api.server.bundle.v1.Bundle/ListFederatedBundles': 'vapx',
  '/spire.api.server.bundle.v1.Bundle/GetFederatedBundle': 'gvapx',
  '/spire.api.server.bundle.v1.Bundle/BatchCreateFederatedBundle': 'x',
  '/spire.api.server.bundle.v1.Bundle/BatchUpdateFederatedBundle': 'x',
  '/spire.api.server.bundle.v1.Bundle/BatchSetFederatedBundle': 'x',
  '/spire.api.server.bundle.v1.Bundle/BatchDeleteFederatedBundle': 'x',
  '/spire.api.server.entry.v1.Entry/CountEntries': 'vapx',
  '/spire.api.server.entry.v1.Entry/ListEntries': 'vapx',
  '/spire.api.server.entry.v1.Entry/GetEntry': 'vapx',
  '/spire.api.server.entry.v1.Entry/BatchCreateEntry': 'x',
  '/spire.api.server.entry.v1.Entry/BatchUpdateEntry': 'x',
  '/spire.api.server.entry.v1.Entry/BatchDeleteEntry': 'x',
  '/spire.api.server.entry.v1.Entry/GetAuthorizedEntries': 'g',
  '/spire.api.server.entry.v1.Entry/SyncAuthorizedEntries': 'g',
  '/spire.api.server.svid.v1.SVID/MintX509SVID': 'x',
  '/spire.api.server.svid.v1.SVID/MintJWTSVID': 'x',
  '/spire.api.server.svid.v1.SVID/MintWITSVID': 'x',
  '/spire.api.server.svid.v1.SVID/BatchNewX509SVID': 'g',
  '/spire.api.server.svid.v1.SVID/NewJWTSVID': 'g',
  '/spire.api.server.svid.v1.SVID/BatchNewWITSVID': 'g',
  '/spire.api.server.svid.v1.SVID/NewDownstreamX509CA': 'd',
  '/spire.api.server.trustdomain.v1.TrustDomain/ListFederationRelationships': 'vapx',
  '/spire.api.server.trustdomain.v1.TrustDomain/GetFederationRelationship': 'vapx',
  '/spire.api.server.trustdomain.v1.TrustDomain/BatchCreateFederationRelationship': 'x',
  '/spire.api.server.trustdomain.v1.TrustDomain/BatchUpdateFederationRelationship': 'x',
  '/spire.api.server.trustdomain.v1.TrustDomain/BatchDeleteFederationRelationship': 'x',
  '/spire.api.server.trustdomain.v1.TrustDomain/RefreshBundle': 'x',
  ...authorityRows('JWT', ['Taint', 'Revoke']),
  ...authorityRows('X509', ['Taint', 'Revoke']),
  ...authorityRows('WIT', ['Taint', 'Revoke']),
  '/spire.api.server.localauthority.v1.LocalAuthority/TaintX509UpstreamAuthority': 'x',
  '/spire.api.server.localauthority.v1.LocalAuthority/RevokeX509UpstreamAuthority': 'x',
  '/spire.api.server.logger.v1.Logger/GetLogger': 'uvapx',
  '/spire.api.server.logger.v1.Logger/SetLogLevel': 'ux',
  '/spire.api.server.logger.v1.Logger/ResetLogLevel': 'ux',
  '/spire.api.server.debug.v1.Debug/GetInfo': 'uvapx',
  '/touchmark.audit.v1.Audit/ListEvents': 'vapx',
  '/touchmark.audit.v1.Audit/Verify': 'vapx',
  '/touchmark.deny.v1.Deny/ListWithdrawals': 'vapx',
  '/touchmark.deny.v1.Deny/GetPublication': 'vapx',
  '/touchmark.evidence.v1.Evidence/ListEvidence': 'vapx',
  '/touchmark.evidence.v1.Evidence/ExportEvidence': 'vapx',
  '/touchmark.measure.v1.Measurement/ApplyObjects': 'px',
  '/touchmark.measure.v1.Measurement/DeleteObject': 'px',
  '/touchmark.measure.v1.Measurement/GetObject': 'vapx',
  '/touchmark.measure.v1.Measurement/ListObjects': 'vapx',
  '/touchmark.measure.v1.Measurement/ListVersions': 'vapx',
  '/touchmark.measure.v1.Measurement/ReferenceFromHosts': 'px',
  '/touchmark.measure.v1.Measurement/Simulate': 'vapx',
  '/touchmark.host.v1.Host/ListHosts': 'vapx',
  '/touchmark.host.v1.Host/GetHost': 'vapx',
  '/touchmark.host.v1.Host/AllowHosts': 'ax',
  '/touchmark.host.v1.Host/ApproveHost': 'ax',
  '/touchmark.host.v1.Host/DenyHost': 'ax',
  '/touchmark.host.v1.Host/ReplaceHost': 'ax',
  '/touchmark.host.v1.Host/ForgetHost': 'x',
  '/touchmark.host.v1.Host/SetHost': 'ax',
  '/touchmark.host.v1.Host/QuarantineHost': 'ax',
  '/touchmark.host.v1.Host/RetireHost': 'x',
  '/touchmark.host.v1.Host/ReleaseHost': 'x',
  '/touchmark.session.v1.Session/Open': 'g',
  '/grpc.health.v1.Health/Check': 'A',
  '/grpc.health.v1.Health/List': 'A',
  '/grpc.health.v1.Health/Watch': 'A',
  '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo': 'A',
  '/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo': 'A',
};

function authorityRows(kind: string, changes: string[]): Record<string, string> {
  const at = (method: string) =>
    `/spire.api.server.localauthority.v1.LocalAuthority/${method}${kind}Authority`;
  const rows: Record<string, string> = { [`${at('Get')}State`]: 'vapx' };
  for (const change of ['Prepare', 'Activate', ...changes]) rows[at(change)] = 'x';
  return rows;
}

const letters: Readonly<Record<Role, string>> = {
  viewer: 'v',
  approver: 'a',
  'policy-author': 'p',
  admin: 'x',
};

/** Every kind of caller there is, with the letters that let it in. */
const callers: readonly { name: string; standing: Standing; letters: string }[] = [
  { name: 'nobody', standing: nobody, letters: 'A' },
  { name: 'an agent', standing: { ...nobody, agent: true }, letters: 'Ag' },
  { name: 'a downstream server', standing: { ...nobody, downstream: true }, letters: 'Ad' },
  { name: 'a Unix user without a role', standing: { ...nobody, unix: true }, letters: 'A' },
  ...roles.flatMap((role) => [
    { name: `${role} by SVID`, standing: { ...nobody, role }, letters: `A${letters[role]}` },
    { name: `${role} by uid`, standing: { ...nobody, role, unix: true }, letters: `A${letters[role]}` },
  ]),
];

test('every method of every service has a row, and every row a method', () => {
  const rows = Object.entries(authorizeTable).flatMap(([service, methods]) =>
    Object.keys(methods).map((method) => `/${service}/${method}`),
  );
  assert.deepEqual(rows.toSorted(), everyMethod.toSorted());
  assert.deepEqual(Object.keys(expected).toSorted(), everyMethod.toSorted());
});

for (const path of everyMethod) {
  test(`${path} lets in exactly who is meant`, () => {
    const meant = expected[path] ?? '';
    for (const { name, standing, letters: own } of callers) {
      const onlyUnix = meant.includes('u') && !standing.unix;
      const allowed = !onlyUnix && [...own].some((letter) => meant.includes(letter));
      if (!allowed) {
        throwsCode('permission_denied', /may not call/, () => authorize(path, standing), `${name} ${path}`);
        continue;
      }
      const asAgent = standing.agent && meant !== 'A';
      assert.equal(authorize(path, standing), asAgent ? 'as-agent' : 'allowed', `${name} ${path}`);
    }
  });
}

test('a method without a row is denied even to an administrator', () => {
  const admin: Standing = { ...nobody, unix: true, role: 'admin', agent: true, downstream: true };
  for (const path of [
    '/a.B/C',
    '/spire.api.server.svid.v1.SVID/Nothing',
    '',
    '/',
    '/constructor/toString',
    '/__proto__/x',
  ]) {
    assert.equal(ruleOf(path), undefined);
    throwsCode('permission_denied', /nobody may call it/, () => authorize(path, admin));
  }
});

test('a certificate that is not believed opens nothing but what is open to everybody', () => {
  const refusal = new TouchmarkError('chain_untrusted', 'the chain ends nowhere');
  const standing: Standing = { ...nobody, refusal };
  const path = '/spire.api.server.entry.v1.Entry/ListEntries';
  throwsCode('permission_denied', /the chain ends nowhere/, () => authorize(path, standing));
  assert.equal(authorize('/spire.api.server.bundle.v1.Bundle/GetBundle', standing), 'allowed');
});

test('an agent whose SVID has ended is told so', () => {
  const refusal = new TouchmarkError('agent_expired', 'the SVID of x ended');
  const standing: Standing = { ...nobody, refusal };
  const path = '/spire.api.server.entry.v1.Entry/GetAuthorizedEntries';
  throwsCode('agent_expired', /ended/, () => authorize(path, standing));
});

test('an SVID from a tainted authority renews and learns, and nothing else', () => {
  const agent: Standing = { ...nobody, agent: true, tainted: true };
  const open = everyMethod.filter((path) => {
    try {
      return authorize(path, agent) === 'as-agent';
    } catch {
      return false;
    }
  });
  assert.deepEqual(
    open.map((path) => path.split('/').at(-1)),
    [
      'RenewAgent',
      'PostStatus',
      'GetFederatedBundle',
      'GetAuthorizedEntries',
      'SyncAuthorizedEntries',
      'Open',
    ],
  );
  const admin: Standing = { ...nobody, role: 'admin', tainted: true };
  const path = '/spire.api.server.entry.v1.Entry/BatchCreateEntry';
  throwsCode('permission_denied', /tainted authority/, () => authorize(path, admin));
});

test('with an SVID that was withdrawn nobody is an operator or a downstream server, and an agent is an agent only', () => {
  const standing: Standing = { ...nobody, role: 'admin', agent: true, downstream: true, withdrawn: true };
  for (const path of everyMethod) {
    const rule = ruleOf(path);
    if (rule?.any === true) assert.equal(authorize(path, standing), 'allowed');
    else if (rule?.agent === true) assert.equal(authorize(path, standing), 'as-agent');
    else throwsCode('svid_withdrawn', /its SVID was withdrawn/, () => authorize(path, standing), path);
  }
});
