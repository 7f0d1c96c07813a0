import type { Role } from '../../config/server-config.js';

/** Who may call one method. What is not granted is denied, and a method without a row is denied to everybody. */
export interface Rule {
  /** Everybody who can connect, without an identity too. */
  readonly any?: true;
  /** A node whose SVID is in force. */
  readonly agent?: true;
  /** A workload whose entry has the downstream flag. */
  readonly downstream?: true;
  /** Operators with one of these roles: by SPIFFE ID or by Unix uid. */
  readonly roles?: readonly Role[];
  /** Operators on the Unix socket only, whatever their role. */
  readonly unixOnly?: true;
  /**
   * With an SVID from a tainted authority too: what a node needs to learn of the taint and to renew, while everything that
   * signs for its workloads waits until it has. A revoked authority is believed nowhere.
   */
  readonly tainted?: true;
}

const READ: readonly Role[] = ['viewer', 'approver', 'policy-author', 'admin'];
const ENROL: readonly Role[] = ['approver', 'admin'];
const AUTHOR: readonly Role[] = ['policy-author', 'admin'];
const ADMIN: readonly Role[] = ['admin'];

const anyone: Rule = { any: true };
const agent: Rule = { agent: true };
const agentRenewing: Rule = { agent: true, tainted: true };
const downstream: Rule = { downstream: true };
const read: Rule = { roles: READ };
const enrol: Rule = { roles: ENROL };
const author: Rule = { roles: AUTHOR };
const admin: Rule = { roles: ADMIN };

/** Every method that the server offers, by service. */
export const authorizeTable: Readonly<Record<string, Readonly<Record<string, Rule>>>> = {
  'spire.api.server.agent.v1.Agent': {
    CountAgents: read,
    ListAgents: read,
    GetAgent: read,
    DeleteAgent: admin,
    BanAgent: admin,
    AttestAgent: anyone,
    RenewAgent: agentRenewing,
    CreateJoinToken: admin,
    PostStatus: agentRenewing,
  },
  'spire.api.server.bundle.v1.Bundle': {
    CountBundles: read,
    GetBundle: anyone,
    AppendBundle: admin,
    PublishJWTAuthority: downstream,
    PublishWITAuthority: downstream,
    ListFederatedBundles: read,
    GetFederatedBundle: { agent: true, roles: READ, tainted: true },
    BatchCreateFederatedBundle: admin,
    BatchUpdateFederatedBundle: admin,
    BatchSetFederatedBundle: admin,
    BatchDeleteFederatedBundle: admin,
  },
  'spire.api.server.entry.v1.Entry': {
    CountEntries: read,
    ListEntries: read,
    GetEntry: read,
    BatchCreateEntry: admin,
    BatchUpdateEntry: admin,
    BatchDeleteEntry: admin,
    GetAuthorizedEntries: agentRenewing,
    SyncAuthorizedEntries: agentRenewing,
  },
  'spire.api.server.svid.v1.SVID': {
    MintX509SVID: admin,
    MintJWTSVID: admin,
    MintWITSVID: admin,
    BatchNewX509SVID: agent,
    NewJWTSVID: agent,
    BatchNewWITSVID: agent,
    NewDownstreamX509CA: downstream,
  },
  'spire.api.server.trustdomain.v1.TrustDomain': {
    ListFederationRelationships: read,
    GetFederationRelationship: read,
    BatchCreateFederationRelationship: admin,
    BatchUpdateFederationRelationship: admin,
    BatchDeleteFederationRelationship: admin,
    RefreshBundle: admin,
  },
  'spire.api.server.localauthority.v1.LocalAuthority': {
    GetJWTAuthorityState: read,
    PrepareJWTAuthority: admin,
    ActivateJWTAuthority: admin,
    TaintJWTAuthority: admin,
    RevokeJWTAuthority: admin,
    GetX509AuthorityState: read,
    PrepareX509Authority: admin,
    ActivateX509Authority: admin,
    TaintX509Authority: admin,
    RevokeX509Authority: admin,
    TaintX509UpstreamAuthority: admin,
    RevokeX509UpstreamAuthority: admin,
    GetWITAuthorityState: read,
    PrepareWITAuthority: admin,
    ActivateWITAuthority: admin,
    TaintWITAuthority: admin,
    RevokeWITAuthority: admin,
  },
  'spire.api.server.logger.v1.Logger': {
    GetLogger: { roles: READ, unixOnly: true },
    SetLogLevel: { roles: ADMIN, unixOnly: true },
    ResetLogLevel: { roles: ADMIN, unixOnly: true },
  },
  'spire.api.server.debug.v1.Debug': {
    GetInfo: { roles: READ, unixOnly: true },
  },
  'touchmark.host.v1.Host': {
    ListHosts: read,
    GetHost: read,
    AllowHosts: enrol,
    ApproveHost: enrol,
    DenyHost: enrol,
    ReplaceHost: enrol,
    ForgetHost: admin,
    SetHost: enrol,
    QuarantineHost: enrol,
    ReleaseHost: admin,
    RetireHost: admin,
  },
  'touchmark.deny.v1.Deny': {
    ListWithdrawals: read,
    GetPublication: read,
  },
  'touchmark.audit.v1.Audit': {
    ListEvents: read,
    Verify: read,
  },
  'touchmark.evidence.v1.Evidence': {
    ListEvidence: read,
    ExportEvidence: read,
  },
  'touchmark.measure.v1.Measurement': {
    ApplyObjects: author,
    Simulate: read,
    ListObjects: read,
    GetObject: read,
    ListVersions: read,
    DeleteObject: author,
    ReferenceFromHosts: author,
  },
  'touchmark.session.v1.Session': {
    Open: agentRenewing,
  },
  // Offered on the Unix socket only.
  'grpc.health.v1.Health': { Check: anyone, List: anyone, Watch: anyone },
  'grpc.reflection.v1.ServerReflection': { ServerReflectionInfo: anyone },
  'grpc.reflection.v1alpha.ServerReflection': { ServerReflectionInfo: anyone },
};
