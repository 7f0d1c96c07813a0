import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TouchmarkError } from '../../src/errors.js';
import { appraise } from '../../src/measure/appraise/appraise.js';
import type { Evidence, MeasuredVerdict } from '../../src/measure/appraise/contract.js';
import { attestationKeyTemplate } from '../../src/tpm/attestation-key.js';
import { primaryQualifiedName } from '../../src/tpm/name.js';
import { pcrDigest } from '../../src/tpm/pcr.js';
import { type QuoteFacts, verifyQuote } from '../../src/tpm/quote.js';
import {
  createKey,
  honestFields,
  type QuoteFields,
  serialiseQuote,
  signWith,
} from '../fakes/software-tpm-keys.js';
import { AT, quotedPcrs } from '../support/appraisal-host.js';
import { type Draw, damaged, draws } from './log-mutations.js';
import { worlds } from './mutation-worlds.js';

const SEED = Number(process.env['TOUCHMARK_SEED'] ?? 20261104);
const ROUNDS = Number(process.env['TOUCHMARK_MUTATIONS'] ?? 10_000);

const [world] = worlds;
assert.ok(world);
const { host, policy } = world;
const ak = createKey(attestationKeyTemplate(new Uint8Array()));
const extraData = Buffer.alloc(32, 7);
const selection = { bank: 'sha256', pcrs: quotedPcrs } as const;
const genuine: QuoteFields = {
  ...honestFields,
  qualifiedSigner: primaryQualifiedName(ak.public),
  extraData,
  clock: 1000n,
  resetCount: 1,
  restartCount: 0,
  safe: true,
  firmwareVersion: 1n,
  selections: [selection],
  pcrDigest: pcrDigest('sha256', selection, host.pcrs),
};
const attest = Buffer.from(serialiseQuote(genuine));
const signature = signWith(ak, attest);

/** Verified, then judged; of every other one only the digest over the registers is known. */
function throughQuote(bytes: Uint8Array, by: Uint8Array, round = 0): MeasuredVerdict | 'refused' {
  let quote: QuoteFacts;
  try {
    quote = verifyQuote({ attest: bytes, signature: by, ak: ak.public, expected: { extraData, selection } });
  } catch (error) {
    assert.ok(error instanceof TouchmarkError, String(error));
    return 'refused';
  }
  const { logs, pcrValues } = host.evidence;
  const values = round % 2 === 0 || !pcrValues ? {} : { pcrValues };
  const evidence: Evidence = { at: AT, quote, logs, ...values };
  try {
    return appraise(evidence, undefined, policy).verdict;
  } catch (error) {
    // The values beside the quote are not those that it was made of.
    assert.ok(error instanceof TouchmarkError && error.code === 'quote_pcr_values', String(error));
    return 'refused';
  }
}

const random = (next: Draw, size: number) => Buffer.from(Array.from({ length: size }, () => next(256)));
const word = (next: Draw) => random(next, 4).readUInt32BE();
/** Bytes of the same length, damaged or drawn anew. */
const other = (bytes: Uint8Array, next: Draw) =>
  next(2) ? damaged(bytes, next) : random(next, bytes.length);

/** What a chip would write that was asked for something else, or what a hostile one may. */
const fieldMutations: readonly ((next: Draw) => Partial<QuoteFields>)[] = [
  (next) => ({ magic: word(next) }),
  (next) => ({ type: next(2) ? 0x8014 + next(12) : next(0x10000) }),
  (next) => ({ qualifiedSigner: other(genuine.qualifiedSigner, next) }),
  (next) => ({ extraData: other(extraData, next) }),
  (next) => ({ extraData: Buffer.concat([extraData, random(next, next(8))]) }),
  (next) => ({ clock: random(next, 8).readBigUInt64BE() }),
  (next) => ({ resetCount: word(next) }),
  (next) => ({ restartCount: word(next) }),
  () => ({ safe: false }),
  (next) => ({ firmwareVersion: random(next, 8).readBigUInt64BE() }),
  (next) => ({ pcrDigest: other(genuine.pcrDigest, next) }),
  (next) => ({ trailing: random(next, 1 + next(8)) }),
  (next) => ({ selections: [{ bank: 'sha256', pcrs: quotedPcrs.filter(() => next(8) > 0) }] }),
  (next) => ({ selections: [{ bank: next(2) ? 'sha1' : 'sha384', pcrs: quotedPcrs }] }),
  (next) => ({ selections: [selection, ...Array(next(3)).fill(selection)] }),
  (next) => forged(next),
];

/** A digest that is true of registers which one log does not give. */
function forged(next: Draw): Partial<QuoteFields> {
  const pcr = quotedPcrs[next(quotedPcrs.length)] ?? 0;
  const values = new Map([...host.pcrs, [pcr, random(next, 32)]]);
  return { pcrDigest: pcrDigest('sha256', selection, values) };
}

test('a genuine quote is trusted, with the values of its registers and without', () => {
  assert.equal(throughQuote(attest, signature, 0), 'trusted');
  assert.equal(throughQuote(attest, signature, 1), 'trusted');
});

test(`TPMS_ATTEST: of ${ROUNDS / 5} mutations that nobody signed none passes`, () => {
  const next = draws(SEED);
  const both = Buffer.concat([attest, signature]);
  for (let round = 0; round < ROUNDS / 5; round++) {
    const bytes = damaged(both, next);
    if (Buffer.compare(bytes, both) === 0) continue;
    const result = throughQuote(bytes.subarray(0, attest.length), bytes.subarray(attest.length), round);
    assert.equal(result, 'refused', `seed ${SEED}, round ${round}`);
  }
});

/** Clock, counters and firmware version are for others to judge; all else is as it was. */
const withoutTimes = (from: Uint8Array) =>
  Buffer.concat([from.subarray(0, 76), from.subarray(101)]).toString('hex');
/** One of them, TPMI_YES_NO. */
const SAFE = 92;

test(`TPMS_ATTEST: of ${ROUNDS} mutations that the key itself signed none is trusted but with the same nonce, signer and registers`, () => {
  const next = draws(SEED + 1);
  const results = new Map<string, number>();
  for (let round = 0; round < ROUNDS; round++) {
    const change = fieldMutations[next(fieldMutations.length)];
    const made =
      next(4) === 0 || !change ? damaged(attest, next) : serialiseQuote({ ...genuine, ...change(next) });
    const result = throughQuote(made, signWith(ak, made), round);
    results.set(result, (results.get(result) ?? 0) + 1);
    const isGood = withoutTimes(made) === withoutTimes(attest) && (made[SAFE] ?? 2) <= 1;
    assert.equal(result === 'trusted', isGood, `seed ${SEED + 1}, round ${round}: ${result}`);
  }
  const [refused = 0, drifted = 0, trusted = 0] = ['refused', 'drifted', 'trusted'].map((one) =>
    results.get(one),
  );
  assert.ok(
    refused > ROUNDS / 3 && drifted > ROUNDS / 50 && trusted > ROUNDS / 10,
    JSON.stringify([...results]),
  );
});
