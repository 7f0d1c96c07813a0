import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkHello } from '../../src/attest/check-messages.js';
import { type EvidenceFacts, type EvidenceInput, verifyEvidence } from '../../src/attest/evidence.js';
import type { Hello } from '../../src/attest/messages.js';
import { TouchmarkError } from '../../src/errors.js';
import { type AnchorSet, operatorAnchors } from '../../src/tpm/anchors.js';
import { checkAttestationKey } from '../../src/tpm/attestation-key.js';
import { verifyEkCertificate } from '../../src/tpm/ek-trust.js';
import { checkEndorsementKey } from '../../src/tpm/endorsement-key.js';
import { parsePublic } from '../../src/tpm/public.js';
import { exchange } from '../attest/exchange.js';
import { createEkAuthority } from '../fakes/ek-authority.js';
import { createSoftwareTpm } from '../fakes/software-tpm.js';

const SEED = Number(process.env['TOUCHMARK_SEED'] ?? 20260601);
const NOW = Date.UTC(2026, 5, 1);

type Message = EvidenceInput & { hello: Hello };

/** Everything that a server does with what an agent sent, in its order. */
function judge({ hello, ...input }: Message, anchors: AnchorSet): EvidenceFacts {
  checkHello(hello);
  const ak = checkAttestationKey(parsePublic(hello.akPublic));
  for (const shown of hello.endorsementKeys) {
    const ek = parsePublic(shown.public);
    checkEndorsementKey(ek);
    const supplied = hello.chainCertificates;
    verifyEkCertificate({
      certificate: shown.certificate,
      ek,
      supplied,
      anchors,
      now: NOW,
      expired: 'reject',
    });
  }
  const payload = Buffer.concat([hello.akPublic, ...hello.endorsementKeys.map((key) => key.public)]);
  return verifyEvidence({
    ...input,
    challenge: { ...input.challenge, ak },
    transcript: { ...input.transcript, payload },
  });
}

/** mulberry32: the same numbers for the same seed. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) % below;
  };
}

/** One change: a bit, a byte, a cut, an insertion, a deletion, a copied stretch, or two changes at once. */
function mutate(bytes: Uint8Array, next: (below: number) => number): Uint8Array {
  const out = Buffer.from(bytes);
  const at = next(Math.max(1, out.length));
  switch (next(7)) {
    case 0:
    case 1:
      out[at] = (out[at] ?? 0) ^ (1 << next(8));
      return out;
    case 2:
      out[at] = next(256);
      return out;
    case 3:
      return out.subarray(0, at);
    case 4:
      return Buffer.concat([out.subarray(0, at), Buffer.from([next(256)]), out.subarray(at)]);
    case 5:
      return Buffer.concat([out.subarray(0, at), out.subarray(at + 1 + next(4))]);
    default:
      out.copyWithin(next(out.length), at, Math.min(out.length, at + 1 + next(16)));
      return next(2) === 0 ? out : mutate(out, next);
  }
}

interface Part {
  name: string;
  rounds: number;
  bytes(message: Message): Uint8Array;
  put(message: Message, bytes: Uint8Array): Message;
}

const evidencePart = (name: 'attest' | 'signature' | 'activationProof', rounds: number): Part => ({
  name: `evidence.${name}`,
  rounds,
  bytes: ({ evidence }) => evidence[name],
  put: (message, bytes) => ({ ...message, evidence: { ...message.evidence, [name]: bytes } }),
});

const firstKey = (name: 'public' | 'certificate', rounds: number): Part => ({
  name: `hello.endorsementKeys[0].${name}`,
  rounds,
  bytes: ({ hello }) => hello.endorsementKeys[0]?.[name] ?? new Uint8Array(),
  put: (message, bytes) => {
    const [first, ...rest] = message.hello.endorsementKeys;
    assert.ok(first);
    return {
      ...message,
      hello: { ...message.hello, endorsementKeys: [{ ...first, [name]: bytes }, ...rest] },
    };
  },
});

const parts: readonly Part[] = [
  evidencePart('attest', 4000),
  evidencePart('signature', 3000),
  evidencePart('activationProof', 500),
  firstKey('public', 1500),
  firstKey('certificate', 3000),
  {
    name: 'hello.akPublic',
    rounds: 1500,
    bytes: ({ hello }) => hello.akPublic,
    put: (message, bytes) => ({ ...message, hello: { ...message.hello, akPublic: bytes } }),
  },
];

async function honest(): Promise<{ message: Message; anchors: AnchorSet }> {
  const root = createEkAuthority('Vendor Root');
  const issuer = root.subordinate('Vendor Issuing');
  const chip = createSoftwareTpm({ authority: issuer, chain: [issuer.der] });
  const anchors = operatorAnchors({ anchors: root.pem, name: 'vendor', assurance: 'virtual' });
  return { message: await exchange(chip), anchors };
}

test(`bytes changed anywhere in a valid attestation are never accepted and never break the verifier (seed ${SEED})`, async () => {
  const { message, anchors } = await honest();
  assert.equal(judge(message, anchors).quote.resetCount, 1);
  const next = random(SEED);
  let tried = 0;
  for (const { name, rounds, bytes, put } of parts) {
    const original = Buffer.from(bytes(message));
    for (let round = 0; round < rounds; round++) {
      const mutated = mutate(original, next);
      if (original.equals(mutated)) continue;
      tried += 1;
      const shown = `${name} ${Buffer.from(mutated).toString('hex')}`;
      assert.throws(() => judge(put(message, mutated), anchors), TouchmarkError, shown);
    }
  }
  assert.ok(tried >= 10_000, `only ${tried} mutations were tried`);
  assert.equal(judge(message, anchors).quote.resetCount, 1);
});

test(`changed PCR values are refused (seed ${SEED})`, async () => {
  const { message, anchors } = await honest();
  assert.equal(judge(message, anchors).pcrValues?.size, 3);
  const next = random(SEED + 1);
  for (let round = 0; round < 500; round++) {
    const pcrValues = message.evidence.pcrValues.map(({ index, value }) => ({
      index,
      value: Buffer.from(value),
    }));
    const victim = pcrValues[next(pcrValues.length)];
    assert.ok(victim);
    if (next(3) === 0) victim.index = 8 + next(12);
    else victim.value[next(32)] = 1 + next(255);
    const changed = { ...message, evidence: { ...message.evidence, pcrValues } };
    assert.throws(() => judge(changed, anchors), TouchmarkError);
  }
});

test(`random bytes in place of every part are refused in words (seed ${SEED})`, async () => {
  const { message, anchors } = await honest();
  const next = random(SEED + 2);
  for (const { name, put } of parts) {
    for (let round = 0; round < 200; round++) {
      const noise = Buffer.from(Array.from({ length: next(300) }, () => next(256)));
      assert.throws(
        () => judge(put(message, noise), anchors),
        TouchmarkError,
        `${name} ${noise.toString('hex')}`,
      );
    }
  }
});
