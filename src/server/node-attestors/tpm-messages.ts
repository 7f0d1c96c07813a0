/** The three messages of a `tpm` attestation: bytes at the door, our own types behind it. */
import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { checkEvidence, checkHello } from '../../attest/check-messages.js';
import type { SentLogPart } from '../../attest/logs.js';
import type { Challenge, Evidence, Hello } from '../../attest/messages.js';
import { messageOf, TouchmarkError } from '../../errors.js';
import { ChallengeSchema, EvidenceSchema, HelloSchema } from '../../wire/gen/touchmark/attest/v1/tpm_pb.js';
import { LogPartSchema } from '../../wire/gen/touchmark/measure/v1/logs_pb.js';
import { partFromWire, partsFromWire, wishToWire } from '../measurements/wire.js';

/** @throws TouchmarkError `tpm_hello_invalid`, `attest_message_*` */
export function decodeHello(payload: Uint8Array): Hello {
  const { akPublic, endorsementKeys, chainCertificates, banks, agentVersion, features } = decoded(
    'Hello',
    HelloSchema,
    payload,
  );
  const eks = endorsementKeys.map((key) => ({ public: key.public, certificate: key.certificate }));
  return checkHello({ akPublic, endorsementKeys: eks, chainCertificates, banks, agentVersion, features });
}

/** @throws TouchmarkError `tpm_hello_invalid`, `attest_message_*` */
export function decodeEvidence(answer: Uint8Array): Evidence {
  const { activationProof, attest, signature, pcrValues, logs } = decoded('Evidence', EvidenceSchema, answer);
  const values = pcrValues.map(({ index, value }) => ({ index, value }));
  return checkEvidence({ activationProof, attest, signature, pcrValues: values, logs: partsFromWire(logs) });
}

/** @throws TouchmarkError `tpm_hello_invalid`, `evidence_invalid` */
export function decodeLogPart(answer: Uint8Array): SentLogPart {
  return partFromWire(decoded('LogPart', LogPartSchema, answer));
}

export function encodeChallenge(challenge: Challenge): Uint8Array {
  const { credentials, nonce, pcrBank, pcrs, approvalCode, deadlineUnixMs } = challenge;
  const message = { credentials, nonce, pcrBank, pcrs, approvalCode, deadlineUnixMs: BigInt(deadlineUnixMs) };
  const logs = (challenge.logs ?? []).map(wishToWire);
  return toBinary(ChallengeSchema, create(ChallengeSchema, { ...message, logs }));
}

/**
 * One message has one encoding: protobuf's readers let more than that pass, and what is judged shall be what was sent. Fields
 * of later versions, behind those that are known, are let pass.
 */
function decoded<D extends DescMessage>(what: string, schema: D, bytes: Uint8Array): MessageShape<D> {
  let message: MessageShape<D>;
  try {
    message = fromBinary(schema, bytes);
  } catch (cause) {
    const why = messageOf(cause);
    throw new TouchmarkError('tpm_hello_invalid', `the ${what} cannot be decoded: ${why}`, { cause });
  }
  if (Buffer.from(toBinary(schema, message)).equals(bytes)) return message;
  throw new TouchmarkError(
    'tpm_hello_invalid',
    `the ${what} cannot be decoded: it is not encoded as such messages are`,
  );
}
