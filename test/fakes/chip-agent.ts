import { generateKeyPairSync } from 'node:crypto';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { activationProof } from '../../src/attest/activation.js';
import {
  attestationKeyUnique,
  quoteExtraData,
  type TranscriptParts,
  transcript,
} from '../../src/attest/transcript.js';
import type { HashName } from '../../src/tpm/algorithms.js';
import { nameOf } from '../../src/tpm/name.js';
import { parsePublic } from '../../src/tpm/public.js';
import {
  type Challenge,
  ChallengeSchema,
  type Evidence,
  EvidenceSchema,
  type Hello,
  HelloSchema,
} from '../../src/wire/gen/touchmark/attest/v1/tpm_pb.js';
import { buildCsr } from '../../src/x509/csr.js';
import type { SoftwareTpm } from './software-tpm.js';

/** An agent's side of one attestation, as the wire carries it. */
export interface AttestingAgent {
  readonly type: string;
  readonly payload: Uint8Array;
  readonly csr: Uint8Array;
  answer(challenge: Uint8Array): Promise<Uint8Array>;
}

/** Where a hostile agent departs from what it should do; each knob one departure. */
export interface ChipAgentOptions {
  readonly trustDomain?: string;
  /** The leaf that the agent believes to have seen. */
  readonly serverLeaf: Uint8Array;
  readonly csr?: Uint8Array;
  readonly generation?: number;
  hello?(hello: Hello): Hello;
  /** The payload as it goes onto the wire. */
  payload?(bytes: Uint8Array): Uint8Array;
  /** What the agent takes for the challenge. */
  challenge?(challenge: Challenge): Challenge;
  transcript?(parts: TranscriptParts): TranscriptParts;
  evidence?(evidence: Evidence, challenge: Challenge): Evidence | Promise<Evidence>;
  answerBytes?(bytes: Uint8Array): Uint8Array;
}

export function newCsr(): Uint8Array {
  return buildCsr({ key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey });
}

/** Attests with a software chip: honestly, but for the departures that are asked for. */
export async function chipAgent(chip: SoftwareTpm, options: ChipAgentOptions): Promise<AttestingAgent> {
  const trustDomain = options.trustDomain ?? 'example.org';
  const unique = attestationKeyUnique(trustDomain, options.generation ?? 0);
  const honest = await helloOf(chip, unique);
  const encoded = toBinary(HelloSchema, options.hello?.(honest) ?? honest);
  const payload = options.payload?.(encoded) ?? encoded;
  const csr = options.csr ?? newCsr();
  const { serverLeaf } = options;
  return {
    type: 'tpm',
    payload,
    csr,
    async answer(bytes) {
      const sent = fromBinary(ChallengeSchema, bytes);
      const challenge = options.challenge?.(sent) ?? sent;
      const parts = { trustDomain, serverLeaf, payload, csr, challenge: bytes };
      const hash = transcript(options.transcript?.(parts) ?? parts);
      const evidence = await evidenceOf(chip, unique, challenge, hash);
      const answer = toBinary(EvidenceSchema, (await options.evidence?.(evidence, challenge)) ?? evidence);
      return options.answerBytes?.(answer) ?? answer;
    },
  };
}

async function helloOf(chip: SoftwareTpm, unique: Uint8Array): Promise<Hello> {
  const keys = await chip.endorsementKeys();
  return create(HelloSchema, {
    akPublic: await chip.attestationKey(unique),
    endorsementKeys: keys.map((key) => ({
      public: key.public,
      certificate: key.certificate ?? new Uint8Array(),
    })),
    chainCertificates: await chip.chainCertificates(),
    banks: ['sha256'],
    agentVersion: 'test',
  });
}

async function evidenceOf(chip: SoftwareTpm, unique: Uint8Array, challenge: Challenge, hash: Uint8Array) {
  const keys = await chip.endorsementKeys();
  const credentials: Uint8Array[] = [];
  for (const { ekName, credentialBlob, encryptedSecret } of challenge.credentials) {
    const key = keys.find((one) => Buffer.from(ekName).equals(nameOf(parsePublic(one.public)))) ?? keys[0];
    if (key === undefined) throw new Error('the chip has no endorsement key');
    const { template } = key;
    // A credential that does not open becomes a guess: the agent goes on to see what the server says.
    const opened = await chip
      .activateCredential(template, unique, credentialBlob, encryptedSecret)
      .catch(() => new Uint8Array(32));
    credentials.push(opened);
  }
  const selection = { bank: challenge.pcrBank as HashName, pcrs: challenge.pcrs };
  const quote = await chip.quote(unique, quoteExtraData(challenge.nonce, hash), selection as never);
  const values = await chip.pcrRead(selection as never);
  return create(EvidenceSchema, {
    activationProof: activationProof(credentials, hash),
    ...quote,
    pcrValues: [...values].sort(([a], [b]) => a - b).map(([index, value]) => ({ index, value })),
  });
}
