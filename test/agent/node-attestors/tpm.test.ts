import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { NodeAttestorDeps } from '../../../src/agent/node-attestors/contract.js';
import { tpmAttestor } from '../../../src/agent/node-attestors/tpm.js';
import { verifyEvidence } from '../../../src/attest/evidence.js';
import { TouchmarkError } from '../../../src/errors.js';
import { silentLogger } from '../../../src/log.js';
import { parseTrustDomain } from '../../../src/spiffe/id.js';
import { makeCredential } from '../../../src/tpm/make-credential.js';
import { nameOf } from '../../../src/tpm/name.js';
import { parsePublic } from '../../../src/tpm/public.js';
import {
  type Challenge,
  ChallengeSchema,
  EvidenceSchema,
  HelloSchema,
} from '../../../src/wire/gen/touchmark/attest/v1/tpm_pb.js';
import {
  LogKind,
  LogPartSchema,
  LogRequestSchema,
  LogState,
  LogWishSchema,
} from '../../../src/wire/gen/touchmark/measure/v1/logs_pb.js';
import { newCsr } from '../../fakes/chip-agent.js';
import { genuine } from '../../fakes/chip-world.js';
import { fakeMeasurer } from '../../fakes/fake-measurer.js';
import type { SoftwareTpm } from '../../fakes/software-tpm.js';
import { throwsCode } from '../../support/rejects.js';

const trustDomain = 'example.org';
const serverLeaf = Buffer.from('leaf of this connection');
const settings = { tcti: 'none', endorsementAuthFile: '', akGeneration: 0 };

function deps(chip: SoftwareTpm, change: Partial<NodeAttestorDeps> = {}): NodeAttestorDeps {
  return {
    config: { trustDomain: parseTrustDomain(trustDomain) } as NodeAttestorDeps['config'],
    log: silentLogger(),
    agentVersion: '1.2.3',
    measurer: fakeMeasurer(),
    openTpm: async () => chip,
    readSecret: () => Promise.reject(new Error('no secret is needed')),
    ...change,
  };
}

/** What an honest server does with a Hello: challenges every key, and later verifies the answer. */
function serverSide(payload: Uint8Array, csr: Uint8Array, change: (challenge: Challenge) => void = () => {}) {
  const hello = fromBinary(HelloSchema, payload);
  const ak = parsePublic(hello.akPublic);
  const credentials = hello.endorsementKeys.map(() => randomBytes(32));
  const nonce = randomBytes(32);
  const pcrs = [0, 4, 7];
  const message = create(ChallengeSchema, {
    credentials: hello.endorsementKeys.map((key, at) => {
      const ek = parsePublic(key.public);
      const credential = credentials[at] ?? new Uint8Array();
      return { ekName: nameOf(ek), ...makeCredential({ ek, akName: nameOf(ak), credential }) };
    }),
    nonce,
    pcrBank: 'sha256',
    pcrs,
    deadlineUnixMs: 1n,
    approvalCode: '4T7K-9QXA',
  });
  change(message);
  const challenge = toBinary(ChallengeSchema, message);
  const verify = (response: Uint8Array, leaf: Uint8Array = serverLeaf) => {
    const { activationProof, attest, signature, pcrValues } = fromBinary(EvidenceSchema, response);
    return verifyEvidence({
      challenge: { ak, credentials, nonce, selection: { bank: 'sha256', pcrs } },
      evidence: { activationProof, attest, signature, pcrValues },
      transcript: { trustDomain, serverLeaf: leaf, payload, csr, challenge },
    });
  };
  return { hello, challenge, verify };
}

test('a chip with two endorsement keys proves both of them and its quote', async () => {
  const chip = genuine({ templates: ['p256-l2', 'rsa2048-l1'] });
  const attestor = tpmAttestor(settings, deps(chip));
  const attempt = await attestor.begin(new AbortController().signal);
  const csr = newCsr();
  const { hello, challenge, verify } = serverSide(attempt.payload, csr);
  assert.equal(hello.endorsementKeys.length, 2);
  assert.deepEqual([hello.agentVersion, hello.banks], ['1.2.3', ['sha256']]);
  const { response, approvalCode } = await attempt.answer(challenge, { csr, serverLeaf });
  assert.equal(approvalCode, '4T7K-9QXA');
  const { pcrValues } = verify(response);
  assert.deepEqual([...(pcrValues?.keys() ?? [])], [0, 4, 7]);
  await attestor[Symbol.asyncDispose]();
});

test('an answer given on one connection is worth nothing on another', async () => {
  const attempt = await tpmAttestor(settings, deps(genuine())).begin(new AbortController().signal);
  const csr = newCsr();
  const { challenge, verify } = serverSide(attempt.payload, csr);
  const { response } = await attempt.answer(challenge, { csr, serverLeaf: Buffer.from('of the relay') });
  throwsCode('activation_proof', /^the activation proof does not match: another chip/, () =>
    verify(response),
  );
});

test('the attestation key stays the same from start to start and differs by generation', async () => {
  const chip = genuine();
  const akOf = async (akGeneration: number) => {
    const attestor = tpmAttestor({ ...settings, akGeneration }, deps(chip));
    const { payload } = await attestor.begin(new AbortController().signal);
    return Buffer.from(fromBinary(HelloSchema, payload).akPublic).toString('hex');
  };
  assert.equal(await akOf(0), await akOf(0));
  assert.notEqual(await akOf(0), await akOf(1));
});

test('the logs that the server asks for are read after the quote, the rest of them by further challenges', async () => {
  const chip = genuine();
  const measurer = fakeMeasurer();
  measurer.logs.set('ima-list', Buffer.from('before '));
  const growing = {
    ...chip,
    // Something is measured while the chip quotes.
    quote: (...asked: Parameters<typeof chip.quote>) => {
      measurer.logs.set('ima-list', Buffer.concat([Buffer.from('before after '), Buffer.alloc(300_000)]));
      return chip.quote(...asked);
    },
  };
  const attestor = tpmAttestor(settings, deps(chip, { measurer, openTpm: async () => growing }));
  const attempt = await attestor.begin(new AbortController().signal);
  const csr = newCsr();
  const connection = { csr, serverLeaf };
  const { hello, challenge, verify } = serverSide(attempt.payload, csr, ({ logs }) => {
    logs.push(create(LogWishSchema, { log: LogKind.BOOT }), create(LogWishSchema, { log: LogKind.IMA }));
  });
  assert.deepEqual(hello.features, ['measurement-1']);
  const { response } = await attempt.answer(challenge, connection);
  verify(response);
  const [boot, ima] = fromBinary(EvidenceSchema, response).logs;
  assert.ok(boot && ima);
  assert.deepEqual([boot.state, boot.reason], [LogState.ABSENT, 'no boot-log']);
  assert.equal(Buffer.from(ima.data.subarray(0, 13)).toString(), 'before after ');
  assert.equal(ima.data.length + Number(ima.remaining), 300_013);
  const request = { log: LogKind.IMA, offset: BigInt(ima.data.length) };
  const bytes = toBinary(LogRequestSchema, create(LogRequestSchema, request));
  const more = await attempt.answer(bytes, connection);
  const part = fromBinary(LogPartSchema, more.response);
  assert.deepEqual([part.state, part.remaining], [LogState.PRESENT, 0n]);
  assert.equal(ima.data.length + part.data.length, 300_013);
  assert.equal(measurer.snapshots, 1);
  await assert.rejects(attempt.answer(Buffer.from([8, 7]), connection), {
    code: 'node_attestation_failed',
    message: 'a log of the unknown kind 7 is asked for',
  });
});

const senseless: readonly [
  what: string,
  change: (challenge: Challenge) => void,
  code: string,
  message: RegExp,
][] = [
  [
    'a challenge for a key of another chip',
    ({ credentials }) => credentials[0] && Object.assign(credentials[0], { ekName: Buffer.alloc(34, 1) }),
    'node_attestation_failed',
    /^the challenge names an endorsement key that this chip did not show \(0101/,
  ],
  [
    'a challenge without credentials',
    (challenge) => challenge.credentials.splice(0),
    'attest_message_invalid',
    /^there are 0 credentials, at least 1 are needed$/,
  ],
  [
    'a challenge that asks for SHA-1',
    (challenge) => Object.assign(challenge, { pcrBank: 'sha1' }),
    'attest_message_invalid',
    /^the challenge asks for the PCR bank "sha1"$/,
  ],
  [
    'a challenge that asks for an unknown log',
    ({ logs }) => logs.push(create(LogWishSchema, { log: 5 as LogKind })),
    'node_attestation_failed',
    /^a log of the unknown kind 5 is asked for$/,
  ],
  [
    'a challenge with a short nonce',
    (challenge) => Object.assign(challenge, { nonce: Buffer.alloc(8) }),
    'attest_message_invalid',
    /^the nonce has 8 bytes, at least 32 are needed$/,
  ],
];

for (const [what, change, code, message] of senseless) {
  test(`${what} is not answered`, async () => {
    const attempt = await tpmAttestor(settings, deps(genuine())).begin(new AbortController().signal);
    const csr = newCsr();
    const { challenge } = serverSide(attempt.payload, csr, change);
    await assert.rejects(attempt.answer(challenge, { csr, serverLeaf }), (error) => {
      assert.ok(error instanceof TouchmarkError);
      assert.equal(error.code, code);
      assert.match(error.message, message);
      return true;
    });
  });
}

test('bytes that are no challenge are refused', async () => {
  const attempt = await tpmAttestor(settings, deps(genuine())).begin(new AbortController().signal);
  await assert.rejects(attempt.answer(Buffer.from([0xff, 0xff]), { csr: newCsr(), serverLeaf }), {
    code: 'node_attestation_failed',
    message: "the server's challenge is no Challenge of touchmark.attest.v1",
  });
});

test('a chip that failed is opened anew for the next attempt, with the password of its file', async () => {
  const opened: (string | undefined)[] = [];
  const attestor = tpmAttestor(
    { ...settings, endorsementAuthFile: '/run/auth' },
    deps(genuine(), {
      readSecret: async () => Buffer.from('secret\n'),
      async openTpm({ endorsementAuth }) {
        opened.push(endorsementAuth === undefined ? undefined : Buffer.from(endorsementAuth).toString());
        if (opened.length === 1) throw new TouchmarkError('tpm_unavailable', 'the TPM is busy');
        return genuine();
      },
    }),
  );
  const { signal } = new AbortController();
  await assert.rejects(attestor.begin(signal), { code: 'tpm_unavailable', message: 'the TPM is busy' });
  await attestor.begin(signal);
  await attestor.begin(signal);
  assert.deepEqual(opened, ['secret', 'secret']);
});
