/**
 * `tpm` (docs/attestation.md), in order: keys of the Hello -> is this chip ours -> challenge -> evidence -> clock rules ->
 * logs -> judgement -> the host's record. A chip that nobody has let in proves its keys first and then waits for an operator: a stranger without
 * a chip cannot fill the queue.
 */
import { randomBytes } from 'node:crypto';
import { CREDENTIAL_SIZE } from '../../attest/activation.js';
import { type EvidenceFacts, verifyEvidence } from '../../attest/evidence.js';
import type { Challenge, Evidence, Hello } from '../../attest/messages.js';
import { newNonce } from '../../attest/nonces.js';
import type { TpmAttestationConfig } from '../../config/server-config.js';
import { TouchmarkError } from '../../errors.js';
import type { AnchorSet } from '../../tpm/anchors.js';
import { checkAttestationKey } from '../../tpm/attestation-key.js';
import { makeCredential } from '../../tpm/make-credential.js';
import { nameOf } from '../../tpm/name.js';
import { parsePublic, type TpmPublic } from '../../tpm/public.js';
import type { Enrolment, EnrolmentPlan } from '../hosts/enrol.js';
import { mayAttest } from '../hosts/state.js';
import { type AskedAttestation, nothingAsked } from '../measurements/attestation.js';
import { encodeRequest } from '../measurements/wire.js';
import {
  type AttestationRequest,
  type AttestedIdentity,
  attestationLimits,
  type NodeAttestor,
} from './contract.js';
import { attestedHost, type HostRecordDeps, judgeeOf } from './tpm-host.js';
import { type AcceptedEk, acceptedEks } from './tpm-keys.js';
import { decodeEvidence, decodeHello, decodeLogPart, encodeChallenge } from './tpm-messages.js';

export interface TpmAttestorDeps extends HostRecordDeps {
  readonly enrolment: Enrolment;
  readonly anchors: AnchorSet;
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
  const akName = Buffer.from(nameOf(ak)).toString('hex');
  const asked = await askFor(deps, plan, akName, hello);
  const { facts, evidence, nonce } = await challengeChip(deps, request, { ak, eks, plan, asked });
  if (plan.kind === 'ask') {
    const records = eks.map((ek) => ek.record);
    return deps.enrolment.ask(plan, records, request.address);
  }
  const { attest, signature } = evidence;
  const asBound = { by: 'attestation', nonce: base64(nonce), hash: base64(facts.transcript) } as const;
  const { transcript: _, ...quoted } = facts;
  const akPublic = base64(hello.akPublic);
  const verified = { akName, akPublic, attest, signature, asked: asBound, ...quoted };
  const judged = await deps.measuring.judge(
    judgeeOf(plan),
    asked,
    verified,
    evidence.logs ?? [],
    async (wanted) =>
      decodeLogPart(await request.challenge(encodeRequest(wanted), attestationLimits.largeAnswerBytes)),
  );
  return attestedHost(deps, { plan, eks, verified, judged });
}

/** Nothing is asked of a chip that nobody let in. */
function askFor(
  { measuring }: TpmAttestorDeps,
  plan: EnrolmentPlan,
  akName: string,
  { features }: Hello,
): Promise<AskedAttestation> {
  if (plan.kind === 'ask') return Promise.resolve(nothingAsked);
  return measuring.ask(plan.kind === 'known' ? plan.host.value : undefined, akName, features);
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

/** A host that no evidence could help is told so before its chip works; the transition at the end decides again. */
function refuseEarly(plan: EnrolmentPlan, now: number): void {
  if (plan.kind === 'known') mayAttest(plan.host.value, now);
}

interface Challenged {
  readonly ak: TpmPublic;
  readonly eks: readonly AcceptedEk[];
  readonly plan: EnrolmentPlan;
  readonly asked: AskedAttestation;
}

/** Nonce and credentials are made here and checked here, so that they are good for one answer. */
async function challengeChip(
  deps: TpmAttestorDeps,
  request: AttestationRequest,
  { ak, eks, plan, asked }: Challenged,
): Promise<{ facts: EvidenceFacts; evidence: Evidence; nonce: Uint8Array }> {
  const { config, clock, trustDomain } = deps;
  const credentials = eks.map(() => new Uint8Array(randomBytes(CREDENTIAL_SIZE)));
  const nonce = newNonce();
  const deadline = clock.now() + config.challengeTimeout * 1000;
  const challenge: Challenge = {
    credentials: eks.map((ek, at) => credentialFor(ek.public, ak, credentials[at])),
    nonce,
    pcrBank: config.pcrBank,
    pcrs: [...config.pcrs],
    deadlineUnixMs: deadline,
    approvalCode: plan.kind === 'ask' ? plan.code : '',
    logs: asked.wishes,
  };
  const sent = encodeChallenge(challenge);
  const answer = await request.challenge(sent, attestationLimits.largeAnswerBytes);
  if (clock.now() > deadline) {
    const message = `the answer to the challenge took longer than ${config.challengeTimeout} seconds`;
    throw new TouchmarkError('attestation_timeout', message);
  }
  const { serverLeaf, payload, csr } = request;
  const evidence = decodeEvidence(answer);
  const facts = verifyEvidence({
    challenge: { ak, credentials, nonce, selection: { bank: config.pcrBank, pcrs: [...config.pcrs] } },
    evidence,
    transcript: { trustDomain, serverLeaf, payload, csr, challenge: sent },
  });
  return { facts, evidence, nonce };
}

function credentialFor(ek: TpmPublic, ak: TpmPublic, credential = new Uint8Array()) {
  return { ekName: nameOf(ek), ...makeCredential({ ek, akName: nameOf(ak), credential }) };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
