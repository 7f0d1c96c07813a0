import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkChallenge, checkEvidence, checkHello } from '../../src/attest/check-messages.js';
import { limits } from '../../src/attest/limits.js';
import type { Challenge, Evidence, Hello } from '../../src/attest/messages.js';
import type { ErrorCode } from '../../src/errors.js';
import { throwsCode } from '../support/rejects.js';

const some = (length: number): Uint8Array => new Uint8Array(length);

const hello: Hello = {
  akPublic: some(88),
  endorsementKeys: [{ public: some(122), certificate: some(0) }],
  chainCertificates: [],
  banks: ['sha256'],
  agentVersion: '0.1.0',
  features: ['logs'],
};
const challenge: Challenge = {
  credentials: [{ ekName: some(34), credentialBlob: some(68), encryptedSecret: some(68) }],
  nonce: some(32),
  pcrBank: 'sha256',
  pcrs: [0, 7, 23],
  deadlineUnixMs: 1_790_000_000_000,
  approvalCode: '',
};
const evidence: Evidence = {
  activationProof: some(32),
  attest: some(145),
  signature: some(72),
  pcrValues: [{ index: 0, value: some(32) }],
};

test('ordinary messages pass and are given back', () => {
  assert.equal(checkHello(hello), hello);
  assert.equal(checkChallenge(challenge), challenge);
  assert.equal(checkEvidence(evidence), evidence);
});

type Row<Message> = [change: Partial<Message>, code: ErrorCode, message: RegExp];

const invalid = 'attest_message_invalid';
const large = 'attest_message_too_large';

const hellos: Row<Hello>[] = [
  [{ akPublic: some(0) }, invalid, /attestation key has 0 bytes, at least 1/],
  [{ akPublic: some(limits.publicArea + 1) }, large, /1025 bytes, at most 1024/],
  [{ endorsementKeys: [] }, invalid, /0 endorsement keys, at least 1/],
  [{ endorsementKeys: Array(9).fill(hello.endorsementKeys[0]) }, large, /9 endorsement keys, at most 8/],
  [
    { endorsementKeys: [{ public: some(122), certificate: some(8193) }] },
    large,
    /certificate has 8193 bytes, at most 8192/,
  ],
  [
    { endorsementKeys: [{ public: some(0), certificate: some(9) }] },
    invalid,
    /an endorsement key has 0 bytes/,
  ],
  [
    { endorsementKeys: Array(2).fill(hello.endorsementKeys[0]) },
    invalid,
    /^an endorsement key is shown twice$/,
  ],
  [{ chainCertificates: Array(17).fill(some(9)) }, large, /17 chain certificates, at most 16/],
  [{ chainCertificates: [some(0)] }, invalid, /chain certificate has 0 bytes/],
  [{ banks: Array(9).fill('sha256') }, large, /9 banks/],
  [{ features: Array(33).fill('x') }, large, /33 features/],
  [{ agentVersion: 'x'.repeat(129) }, large, /129 characters/],
  [{ agentVersion: '\u001b[2J' }, invalid, /not printable ASCII/],
];

const challenges: Row<Challenge>[] = [
  [{ credentials: [] }, invalid, /0 credentials/],
  [
    { credentials: [{ ekName: some(67), credentialBlob: some(1), encryptedSecret: some(1) }] },
    large,
    /67 bytes/,
  ],
  [
    { credentials: [{ ekName: some(34), credentialBlob: some(257), encryptedSecret: some(1) }] },
    large,
    /257 bytes/,
  ],
  [
    { credentials: [{ ekName: some(34), credentialBlob: some(1), encryptedSecret: some(0) }] },
    invalid,
    /secret has 0 bytes/,
  ],
  [{ nonce: some(31) }, invalid, /nonce has 31 bytes/],
  [{ pcrBank: 'sha1' }, invalid, /bank "sha1"/],
  [{ pcrBank: 'md5' }, invalid, /bank "md5"/],
  [{ pcrs: [] }, invalid, /0 PCRs/],
  [{ pcrs: [1, 0] }, invalid, /PCR 0 does not exist or does not follow PCR 1/],
  [{ pcrs: [0, 0] }, invalid, /PCR 0 .* PCR 0/],
  [{ pcrs: [24] }, invalid, /PCR 24/],
  [{ pcrs: [0.5] }, invalid, /PCR 0.5/],
  [{ deadlineUnixMs: Number.NaN }, invalid, /not a time/],
  [{ approvalCode: 'é' }, invalid, /printable/],
];

const evidences: Row<Evidence>[] = [
  [{ activationProof: some(31) }, invalid, /31 bytes, at least 32/],
  [{ activationProof: some(33) }, large, /33 bytes, at most 32/],
  [{ attest: some(0) }, invalid, /quote has 0 bytes/],
  [{ attest: some(513) }, large, /quote has 513 bytes/],
  [{ signature: some(521) }, large, /signature has 521 bytes/],
  [{ pcrValues: Array(25).fill(evidence.pcrValues[0]) }, large, /25 PCR values/],
  [{ pcrValues: [{ index: 0, value: some(65) }] }, large, /65 bytes/],
  [{ pcrValues: [...evidence.pcrValues, ...evidence.pcrValues] }, invalid, /PCR 0/],
];

test('a Hello outside its bounds is refused before anything in it is parsed', () => {
  for (const [change, code, message] of hellos) {
    throwsCode(code, message, () => checkHello({ ...hello, ...change }), JSON.stringify(Object.keys(change)));
  }
});

test('a Challenge outside its bounds is refused before the chip is asked', () => {
  for (const [change, code, message] of challenges) {
    throwsCode(
      code,
      message,
      () => checkChallenge({ ...challenge, ...change }),
      JSON.stringify(Object.keys(change)),
    );
  }
});

test('an Evidence outside its bounds is refused before anything in it is parsed', () => {
  for (const [change, code, message] of evidences) {
    throwsCode(
      code,
      message,
      () => checkEvidence({ ...evidence, ...change }),
      JSON.stringify(Object.keys(change)),
    );
  }
});
