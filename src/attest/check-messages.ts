import { TouchmarkError } from '../errors.js';
import { isHashName } from '../tpm/algorithms.js';
import { PCR_COUNT } from '../tpm/pcr.js';
import { limits } from './limits.js';
import type { Challenge, ChallengeCredential, Evidence, Hello } from './messages.js';
import { NONCE_SIZE } from './transcript.js';

const PROOF_SIZE = 32;

/** Sizes and counts of a Hello, before anything in it is parsed. Does NOT establish that any of it is true. */
export function checkHello(hello: Hello): Hello {
  bytes('the attestation key', hello.akPublic, 1, limits.publicArea);
  count('endorsement keys', hello.endorsementKeys, 1, limits.endorsementKeys);
  for (const key of hello.endorsementKeys) {
    bytes('an endorsement key', key.public, 1, limits.publicArea);
    bytes('an endorsement-key certificate', key.certificate, 0, limits.certificate);
  }
  distinctKeys(hello.endorsementKeys);
  count('chain certificates', hello.chainCertificates, 0, limits.chainCertificates);
  for (const certificate of hello.chainCertificates)
    bytes('a chain certificate', certificate, 1, limits.certificate);
  count('banks', hello.banks, 0, limits.banks);
  count('features', hello.features, 0, limits.features);
  for (const one of [...hello.banks, ...hello.features, hello.agentVersion]) plainText('a name', one);
  return hello;
}

/** The agent's check of a Challenge, before its chip is asked anything. Does NOT establish who sent it: the connection does. */
export function checkChallenge(challenge: Challenge): Challenge {
  count('credentials', challenge.credentials, 1, limits.endorsementKeys);
  for (const credential of challenge.credentials) checkCredential(credential);
  bytes('the nonce', challenge.nonce, NONCE_SIZE, NONCE_SIZE);
  if (!isHashName(challenge.pcrBank) || challenge.pcrBank === 'sha1') {
    throw invalid(
      `the challenge asks for the PCR bank ${JSON.stringify(challenge.pcrBank.slice(0, limits.text))}`,
    );
  }
  count('PCRs', challenge.pcrs, 1, limits.pcrs);
  ascendingPcrs(challenge.pcrs);
  if (!Number.isSafeInteger(challenge.deadlineUnixMs))
    throw invalid('the deadline of the challenge is not a time');
  plainText('the approval code', challenge.approvalCode);
  return challenge;
}

/** Sizes and counts of an Evidence, before anything in it is parsed. Does NOT establish that any of it is true. */
export function checkEvidence(evidence: Evidence): Evidence {
  bytes('the activation proof', evidence.activationProof, PROOF_SIZE, PROOF_SIZE);
  bytes('the quote', evidence.attest, 1, limits.attest);
  bytes('the signature', evidence.signature, 1, limits.signature);
  count('PCR values', evidence.pcrValues, 0, limits.pcrs);
  for (const { value } of evidence.pcrValues) bytes('a PCR value', value, 1, limits.digest);
  ascendingPcrs(evidence.pcrValues.map(({ index }) => index));
  return evidence;
}

function checkCredential(credential: ChallengeCredential): void {
  bytes('the Name of an endorsement key', credential.ekName, 1, limits.name);
  bytes('a credential blob', credential.credentialBlob, 1, limits.credentialBlob);
  bytes('an encrypted secret', credential.encryptedSecret, 1, limits.encryptedSecret);
}

/** Each key once: whoever looks at them may count keys. The same number in another public area is for the verifier to find. */
function distinctKeys(keys: Hello['endorsementKeys']): void {
  const seen = new Set(keys.map((key) => Buffer.from(key.public).toString('latin1')));
  if (seen.size < keys.length) throw invalid('an endorsement key is shown twice');
}

function ascendingPcrs(pcrs: readonly number[]): void {
  pcrs.forEach((pcr, at) => {
    const previous = pcrs[at - 1] ?? -1;
    if (Number.isInteger(pcr) && pcr < PCR_COUNT && pcr > previous) return;
    throw invalid(`PCR ${pcr} does not exist or does not follow PCR ${previous} in ascending order`);
  });
}

function bytes(what: string, value: Uint8Array, min: number, max: number): void {
  if (value.length > max) throw tooLarge(`${what} has ${value.length} bytes, at most ${max} are allowed`);
  if (value.length < min) throw invalid(`${what} has ${value.length} bytes, at least ${min} are needed`);
}

function count(what: string, items: readonly unknown[], min: number, max: number): void {
  if (items.length > max) throw tooLarge(`there are ${items.length} ${what}, at most ${max} are allowed`);
  if (items.length < min) throw invalid(`there are ${items.length} ${what}, at least ${min} are needed`);
}

/** Texts reach logs and terminals: printable ASCII only. */
function plainText(what: string, value: string): void {
  if (value.length > limits.text)
    throw tooLarge(`${what} has ${value.length} characters, at most ${limits.text} are allowed`);
  if (!/^[\x20-\x7e]*$/.test(value)) throw invalid(`${what} has characters that are not printable ASCII`);
}

function invalid(message: string): TouchmarkError {
  return new TouchmarkError('attest_message_invalid', message);
}

function tooLarge(message: string): TouchmarkError {
  return new TouchmarkError('attest_message_too_large', message);
}
