import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TouchmarkError } from '../../src/errors.js';
import { appraise } from '../../src/measure/appraise/appraise.js';
import type { LogKind, MeasuredVerdict } from '../../src/measure/appraise/contract.js';
import { remedyOf } from '../../src/measure/appraise/reasons.js';
import { parseBootLog } from '../../src/measure/boot/boot-log.js';
import { attestationKeyTemplate } from '../../src/tpm/attestation-key.js';
import { primaryQualifiedName } from '../../src/tpm/name.js';
import { pcrDigest } from '../../src/tpm/pcr.js';
import { type QuoteFacts, verifyQuote } from '../../src/tpm/quote.js';
import { createKey, honestFields, serialiseQuote, signWith } from '../fakes/software-tpm-keys.js';
import { bootEvents } from '../support/appraisal-boot.js';
import { allRules, goodHost, goodReferences, imaFiles, resolved } from '../support/appraisal-factory.js';
import {
  AT,
  file,
  measure,
  quotedPcrs,
  sha256,
  violation,
  whole,
  withLogs,
} from '../support/appraisal-host.js';
import {
  coveredByBootLog,
  coveredByIma,
  coveredByUserspace,
  type Draw,
  damaged,
  draws,
  shuffled,
} from './log-mutations.js';

const SEED = Number(process.env['TOUCHMARK_SEED'] ?? 20261101);
const ROUNDS = Number(process.env['TOUCHMARK_MUTATIONS'] ?? 10_000);

const tools = Array.from({ length: 12 }, (_, n) => `/usr/bin/tool-${n}`);
const host = measure({
  ...goodHost,
  ima: [...imaFiles, violation('/var/log/x'), ...tools.map((path) => file(path))],
  // The last entries and the last record came after the quote.
  quotedEntries: 14,
  quotedRecords: 4,
});
const files = [
  ...imaFiles.map((_, n) => goodReferences.files[n]),
  ...tools.map((path) => ({ digest: sha256(path), path })),
];
const policy = resolved(
  {
    ...allRules,
    firmwareConfig: { ...allRules.firmwareConfig, onFail: 'drift' },
    runtime: { ...allRules.runtime, violations: 'ignore' },
  },
  [{ ...goodReferences, files: files.flatMap((one) => one ?? []) }],
);
const genuine = appraise(host.evidence, undefined, policy);

interface Seen {
  readonly verdict: MeasuredVerdict;
  /** The part of the changed log that was confirmed. */
  readonly confirmed: Uint8Array;
}

/** Judges the good evidence with one log changed. Whatever comes is a verdict with known reasons, in bounded time. */
function seen(kind: LogKind, bytes: Buffer, about: string): Seen {
  const begin = process.hrtime.bigint();
  const { verdict, explanation, confirmed } = appraise(
    withLogs(host.evidence, { [kind]: whole(bytes) }),
    undefined,
    policy,
  );
  const spent = Number(process.hrtime.bigint() - begin) / 1e6;
  assert.ok(spent < 1000, `${about}: ${spent} ms`);
  for (const { reasons } of explanation.components) {
    assert.ok(reasons.length <= 20, about);
    for (const { code, message } of reasons) {
      assert.notEqual(remedyOf(code), '', `${about}: ${code}`);
      assert.ok(message.length < 1000, `${about}: a message of ${message.length} characters`);
    }
  }
  const length = {
    'boot-log': confirmed.bootLog,
    'userspace-log': confirmed.userspaceLog,
    'ima-list': confirmed.imaList,
  }[kind];
  return { verdict, confirmed: bytes.subarray(0, length) };
}

/** Undefined for what cannot even be read. */
function covered(read: (bytes: Uint8Array) => string, bytes: Uint8Array): string | undefined {
  try {
    return read(bytes);
  } catch (error) {
    assert.ok(error instanceof TouchmarkError, String(error));
    return undefined;
  }
}

function mutations(next: Draw, bytes: Buffer, records: readonly Uint8Array[]): Buffer {
  return next(10) === 0 ? shuffled(records, next) : damaged(bytes, next);
}

const heap = () => process.memoryUsage().heapUsed / 2 ** 20;

test('the genuine evidence is trusted', () => {
  assert.equal(genuine.verdict, 'trusted');
  assert.equal(genuine.confirmed.imaEntries, 14);
  assert.equal(genuine.confirmed.userspaceEvents, 4);
});

test(`boot log: of ${ROUNDS} mutations, those of what the quote covers are never trusted, others change nothing`, () => {
  const next = draws(SEED);
  const [good, before] = [coveredByBootLog(host.bootLog), heap()];
  // Cut where an event begins: the header, then each event by the length that its own log has.
  const events = bootEvents.map(
    (_, n) => measure({ boot: bootEvents.slice(0, n + 1), userspace: [], ima: [] }).bootLog.length,
  );
  const header = measure({ boot: [], userspace: [], ima: [] }).bootLog.length;
  const records = [header, ...events].map((end, n, ends) =>
    host.bootLog.subarray(n === 0 ? 0 : ends[n - 1], end),
  );
  const verdicts = new Map<string, number>();
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = mutations(next, host.bootLog, records);
    const about = `seed ${SEED}, round ${round}`;
    const { verdict } = seen('boot-log', bytes, about);
    const same = covered(coveredByBootLog, bytes) === good;
    if (verdict === 'trusted') assert.ok(same, `${about}: trusted`);
    verdicts.set(`${verdict} ${same}`, (verdicts.get(`${verdict} ${same}`) ?? 0) + 1);
    if (same && !isRelabelled(bytes)) assert.equal(verdict, 'trusted', `${about}: ${reasonsOf(bytes)}`);
  }
  assert.ok((verdicts.get('drifted false') ?? 0) > ROUNDS / 3, JSON.stringify([...verdicts]));
  assert.ok((verdicts.get('trusted true') ?? 0) > ROUNDS / 50, JSON.stringify([...verdicts]));
  assert.ok(heap() - before < 300);
});

function reasonsOf(bytes: Buffer): string {
  const { explanation } = appraise(withLogs(host.evidence, { 'boot-log': whole(bytes) }), undefined, policy);
  return JSON.stringify(explanation.components.flatMap(({ reasons }) => reasons));
}

/** A type that claims what its data is not, or makes a separator of another event, is refused though no digest covers it. */
function isRelabelled(bytes: Buffer): boolean {
  return bytes.length !== host.bootLog.length || typesOf(bytes) !== typesOf(host.bootLog);
}

function typesOf(bytes: Buffer): string {
  return JSON.stringify(parseBootLog(bytes).events.map(({ type, pcr }) => [type, pcr]));
}

test(`IMA list: of ${ROUNDS} mutations, what is trusted holds exactly the entries that the quote covers`, () => {
  const next = draws(SEED + 1);
  const prefix = host.imaList.subarray(0, genuine.confirmed.imaList);
  const [good, before] = [coveredByIma(prefix), heap()];
  const records = host.entries.map(({ bytes }) => bytes);
  let trusted = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = mutations(next, host.imaList, records);
    const about = `seed ${SEED + 1}, round ${round}`;
    const { verdict, confirmed } = seen('ima-list', bytes, about);
    if (verdict === 'trusted') {
      trusted++;
      assert.equal(covered(coveredByIma, confirmed), good, `${about}: trusted`);
    } else
      assert.notDeepEqual(bytes.subarray(0, prefix.length), prefix, `${about}: only the tail was changed`);
  }
  assert.ok(trusted > ROUNDS / 50 && trusted < ROUNDS / 2, `${trusted} were trusted`);
  assert.ok(heap() - before < 300);
});

test(`userspace log: of ${ROUNDS} mutations, what is trusted holds exactly the records that the quote covers`, () => {
  const next = draws(SEED + 2);
  const prefix = host.userspaceLog.subarray(0, genuine.confirmed.userspaceLog);
  // A record ends where the next one begins.
  const end = host.userspaceLog.subarray(0, prefix.length + 1);
  const [good, before] = [coveredByUserspace(prefix), heap()];
  const records = host.userspaceLog
    .toString()
    .split('\x1e')
    .slice(1)
    .map((one) => Buffer.from(`\x1e${one}`));
  let trusted = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = mutations(next, host.userspaceLog, records);
    const about = `seed ${SEED + 2}, round ${round}`;
    const { verdict, confirmed } = seen('userspace-log', bytes, about);
    if (verdict === 'trusted') {
      trusted++;
      assert.equal(covered(coveredByUserspace, confirmed), good, `${about}: trusted`);
    } else assert.notDeepEqual(bytes.subarray(0, end.length), end, `${about}: only the tail was changed`);
  }
  assert.ok(trusted > ROUNDS / 50 && trusted < ROUNDS * 0.8, `${trusted} were trusted`);
  assert.ok(heap() - before < 300);
});

const ak = createKey(attestationKeyTemplate(new Uint8Array()));
const extraData = Buffer.alloc(32, 7);
const selection = { bank: 'sha256', pcrs: quotedPcrs } as const;
const attest = serialiseQuote({
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
});
const signature = signWith(ak, attest);

/** Verified, then judged without the values: only what was signed counts. */
function throughQuote(bytes: Uint8Array, by: Uint8Array): MeasuredVerdict | 'refused' {
  let quote: QuoteFacts;
  try {
    quote = verifyQuote({ attest: bytes, signature: by, ak: ak.public, expected: { extraData, selection } });
  } catch (error) {
    assert.ok(error instanceof TouchmarkError, String(error));
    return 'refused';
  }
  const { logs } = host.evidence;
  return appraise({ at: AT, quote, logs }, undefined, policy).verdict;
}

test(`TPMS_ATTEST: of ${ROUNDS} mutations none passes its signature`, () => {
  const next = draws(SEED + 3);
  assert.equal(throughQuote(attest, signature), 'trusted');
  for (let round = 0; round < ROUNDS; round++) {
    const both = damaged(Buffer.concat([attest, signature]), next);
    const [bytes, by] = [both.subarray(0, attest.length), both.subarray(attest.length)];
    if (Buffer.compare(both, Buffer.concat([attest, signature])) === 0) continue;
    assert.equal(throughQuote(bytes, by), 'refused', `seed ${SEED + 3}, round ${round}`);
  }
});

test('TPMS_ATTEST: 2 000 mutations that the key itself signed: registers, nonce, signer and selection hold', () => {
  const next = draws(SEED + 4);
  const results = new Map<string, number>();
  for (let round = 0; round < 2000; round++) {
    const bytes = damaged(attest, next);
    const result = throughQuote(bytes, signWith(ak, bytes));
    results.set(result, (results.get(result) ?? 0) + 1);
    if (result !== 'trusted') continue;
    // Clock, counters and firmware version are for others to judge; all else is as it was.
    const without = (from: Uint8Array) =>
      Buffer.concat([from.subarray(0, 76), from.subarray(101)]).toString('hex');
    assert.equal(without(bytes), without(attest), `seed ${SEED + 4}, round ${round}`);
  }
  assert.ok(
    (results.get('refused') ?? 0) > 500 && (results.get('drifted') ?? 0) > 50,
    JSON.stringify([...results]),
  );
});
