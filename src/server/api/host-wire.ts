/** Hosts as operators are shown them. */
import { create } from '@bufbuild/protobuf';
import { remedyOf } from '../../measure/appraise/reasons.js';
import type { SpiffeId } from '../../spiffe/id.js';
import {
  type Appraisal,
  AppraisalSchema,
  type HostAttestation,
  HostAttestationSchema,
  type HostEndorsementKey,
  HostEndorsementKeySchema,
  type HostRecord,
  HostRecordSchema,
} from '../../wire/gen/touchmark/host/v1/host_pb.js';
import { spiffeIdToWire } from '../../wire/id.js';
import type { Found } from '../hosts/find.js';
import { shownState } from '../hosts/state.js';
import type { PolicyBook } from '../measurements/contract.js';
import type { AppraisalRecord, Host, HostEk, HostState, QuoteRecord, Reason } from '../model.js';
import { wireStates } from '../sessions/verdict.js';

export interface HostView {
  readonly nodeId: (hostId: string) => SpiffeId;
  readonly isLive: (nodeId: SpiffeId) => boolean;
  readonly policyFor: PolicyBook['policyFor'];
}

const neverAttested: Reason = { code: 'never_attested', message: 'it is allowed, and has not attested yet' };
const waits: Reason = { code: 'enrolment_pending', message: 'it waits for an operator' };

/** The state that a host is shown in: what is derived from time included. */
export function stateOf(found: Found, view: HostView): HostState {
  return found.kind === 'host' ? shownState(found.host, view.isLive(view.nodeId(found.id))) : 'pending';
}

export function hostToWire(found: Found, view: HostView): HostRecord {
  const spiffeId = spiffeIdToWire(view.nodeId(found.id));
  const base = { id: found.id, spiffeId, state: wireStates[stateOf(found, view)] };
  switch (found.kind) {
    case 'host':
      return create(HostRecordSchema, {
        ...base,
        ...enrolledFields(found.host),
        ...inForceFields(found.host, view),
      });
    case 'allowed': {
      const { name, labels, allowedBy, allowedAt } = found.allowed;
      const enrolment = { enrolledBy: allowedBy, enrolledAt: seconds(allowedAt) };
      return create(HostRecordSchema, {
        ...base,
        name,
        labels: { ...labels },
        reasons: [neverAttested],
        ...enrolment,
      });
    }
    case 'pending': {
      const { code, address, firstSeen, expiresAt, eks } = found.pending;
      const pending = { code, address, firstSeen: seconds(firstSeen), expiresAt: seconds(expiresAt) };
      return create(HostRecordSchema, { ...base, reasons: [waits], eks: eks.map(ekToWire), pending });
    }
  }
}

function enrolledFields(host: Host) {
  return {
    name: host.name,
    labels: { ...host.labels },
    reasons: host.reasons.map(({ code, message }) => ({ code, message })),
    eks: host.eks.map(ekToWire),
    akName: host.akName,
    ...(host.lastQuote === undefined ? {} : { attestation: quoteToWire(host, host.lastQuote) }),
    enrolledBy: host.enrolledBy,
    enrolledAt: seconds(host.enrolledAt),
    stateSince: seconds(host.stateSince),
    graceEndsAt: seconds(host.graceEndsAt),
    ...(host.appraisal === undefined ? {} : { appraisal: appraisalToWire(host.appraisal) }),
  };
}

/** What its labels say now; its last judgement may be of another policy, or there may be none. */
function inForceFields(host: Host, { policyFor }: HostView) {
  const inForce = policyFor(host);
  if (inForce === undefined) return {};
  return { policyInForce: inForce.policy.policy.name, groupInForce: inForce.group.name };
}

function appraisalToWire({ since, at, components, ...rest }: AppraisalRecord): Appraisal {
  return create(AppraisalSchema, {
    ...rest,
    since: seconds(since),
    at: seconds(at),
    components: components.map(({ reasons, ...component }) => ({
      ...component,
      reasons: reasons.map((reason) => ({ ...reason, remedy: remedyOf(reason.code) })),
    })),
  });
}

function ekToWire(ek: HostEk): HostEndorsementKey {
  const { hash, algorithm, manufacturer, model, firmware, issuer, anchor } = ek;
  const deviations = ek.deviations.map(({ code, message }) => `${code}: ${message}`);
  const certificate = {
    manufacturer,
    model,
    firmware,
    issuer,
    anchor,
    notAfter: seconds(ek.notAfter),
    deviations,
  };
  const certified = anchor !== '' || deviations.length > 0;
  return create(HostEndorsementKeySchema, {
    hash,
    algorithm: shownAlgorithm(algorithm),
    ...(certified && { certificate }),
  });
}

/** `rsa2048` as `rsa-2048`. */
function shownAlgorithm(algorithm: string): string {
  return algorithm.replace(/^([a-z]+)(\d+)$/, '$1-$2');
}

function quoteToWire(host: Host, quote: QuoteRecord): HostAttestation {
  const pcrs = Object.fromEntries(Object.entries(quote.pcrs).map(([index, value]) => [Number(index), value]));
  return create(HostAttestationSchema, {
    resetCount: quote.resetCount,
    restartCount: quote.restartCount,
    clock: BigInt(quote.clock),
    safe: quote.safe,
    firmwareVersion: quote.firmwareVersion,
    lastQuoteAt: seconds(quote.at),
    pcrBank: quote.bank,
    pcrs,
    attestationCount: BigInt(host.attestationNumber),
  });
}

function seconds(milliseconds: number): bigint {
  return BigInt(Math.floor(milliseconds / 1000));
}
