/**
 * `tpm` (docs/attestation.md), in order: keys of the Hello -> is this chip ours -> challenge -> evidence -> clock rules ->
 * the host's record. A chip that nobody has let in proves its keys first and then waits for an operator: a stranger without
 * a chip cannot fill the queue.
 */
import { randomBytes } from 'node:crypto';
import { CREDENTIAL_SIZE } from '../../attest/activation.js';
import { type EvidenceFacts, verifyEvidence } from '../../attest/evidence.js';
import type { Challenge, Hello } from '../../attest/messages.js';
import { NONCE_SIZE } from '../../attest/transcript.js';
import type { Clock } from '../../clock.js';
import type { TpmAttestationConfig } from '../../config/server-config.js';
import { TouchmarkError } from '../../errors.js';
import type { Logger } from '../../log.js';
import type { TrustDomain } from '../../spiffe/id.js';
import type { AnchorSet } from '../../tpm/anchors.js';
import { checkAttestationKey } from '../../tpm/attestation-key.js';
import { makeCredential } from '../../tpm/make-credential.js';
import { nameOf } from '../../tpm/name.js';
import { parsePublic, type TpmPublic } from '../../tpm/public.js';
import type { Enrolment, EnrolmentPlan } from '../hosts/enrol.js';
import { hostRefusal } from '../hosts/state.js';
import type { NodeEvents } from '../nodes/events.js';
import type { AttestationRequest, AttestedIdentity, NodeAttestor } from './contract.js';
import { attestedHost } from './tpm-host.js';
import { type AcceptedEk, acceptedEks } from './tpm-keys.js';
import { decodeEvidence, decodeHello, encodeChallenge } from './tpm-messages.js';

export interface TpmAttestorDeps {
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly log: Logger;
  readonly enrolment: Enrolment;
  readonly anchors: AnchorSet;
  readonly onEvent: NodeEvents;
  readonly config: Pick<
    TpmAttestationConfig,
    'expiredCertificates' | 'pcrBank' | 'pcrs' | 'challengeTimeout' | 'suspectGrace'
  >;
}

export function tpmAttestor(deps: TpmAttestorDeps): NodeAttestor {
  return { type: 'tpm', attest: (request) => attestTpm(deps, request) };
}

async function attestTpm(deps: TpmAttestorDeps, request: AttestationRequest): Promise<AttestedIdentity> {
  if (request.serverLeaf.length === 0) {
    throw new TouchmarkError(
      'attestation_request_invalid',
      'a chip attests over TLS only: its proof names the server',
    );
  }
  const hello = decodeHello(request.payload);
  const ak = readAttestationKey(hello);
  checkBank(deps, hello);
  const eks = await acceptedEks(hello, keyRules(deps));
  const plan = await deps.enrolment.plan(eks.map((ek) => ek.record));
  refuseEarly(plan, deps.clock.now());
  const facts = await challengeChip(deps, request, ak, eks, plan);
  if (plan.kind === 'ask') {
    const records = eks.map((ek) => ek.record);
    return deps.enrolment.ask(plan, records, request.address);
  }
  return attestedHost(deps, { plan, eks, akName: nameOf(ak), facts });
}

/** The attestation key exactly as our template makes it: everything that a quote means rests on that. */
function readAttestationKey(hello: Hello): TpmPublic {
  return checkAttestationKey(parsePublic(hello.akPublic));
}

/** For the sentence only: what is proved is the bank that the quote covers. */
function checkBank({ config }: TpmAttestorDeps, { banks }: Hello): void {
  if (banks.length === 0 || banks.includes(config.pcrBank)) return;
  throw new TouchmarkError(
    'tpm_hello_invalid',
    `the chip has no PCR bank ${config.pcrBank}, only ${banks.join(', ')}`,
  );
}

function keyRules({ anchors, enrolment, clock, config }: TpmAttestorDeps) {
  return { anchors, enrolment, expired: config.expiredCertificates, now: clock.now() };
}

/** A host that may have nothing is told so before its chip works; the transition at the end decides again. */
function refuseEarly(plan: EnrolmentPlan, now: number): void {
  const refusal = plan.kind === 'known' ? hostRefusal(plan.host.value, now) : undefined;
  if (refusal !== undefined) throw refusal;
}

/** Nonce and credentials live in this function alone, so that they are good for one answer. */
async function challengeChip(
  deps: TpmAttestorDeps,
  request: AttestationRequest,
  ak: TpmPublic,
  eks: readonly AcceptedEk[],
  plan: EnrolmentPlan,
): Promise<EvidenceFacts> {
  const { config, clock, trustDomain } = deps;
  const credentials = eks.map(() => new Uint8Array(randomBytes(CREDENTIAL_SIZE)));
  const nonce = new Uint8Array(randomBytes(NONCE_SIZE));
  const deadline = clock.now() + config.challengeTimeout * 1000;
  const challenge: Challenge = {
    credentials: eks.map((ek, at) => credentialFor(ek.public, ak, credentials[at])),
    nonce,
    pcrBank: config.pcrBank,
    pcrs: [...config.pcrs],
    deadlineUnixMs: deadline,
    approvalCode: plan.kind === 'ask' ? plan.code : '',
  };
  const sent = encodeChallenge(challenge);
  const answer = await request.challenge(sent);
  if (clock.now() > deadline) {
    const message = `the answer to the challenge took longer than ${config.challengeTimeout} seconds`;
    throw new TouchmarkError('attestation_timeout', message);
  }
  const { serverLeaf, payload, csr } = request;
  return verifyEvidence({
    challenge: { ak, credentials, nonce, selection: { bank: config.pcrBank, pcrs: [...config.pcrs] } },
    evidence: decodeEvidence(answer),
    transcript: { trustDomain, serverLeaf, payload, csr, challenge: sent },
  });
}

function credentialFor(ek: TpmPublic, ak: TpmPublic, credential = new Uint8Array()) {
  return { ekName: nameOf(ek), ...makeCredential({ ek, akName: nameOf(ak), credential }) };
}
