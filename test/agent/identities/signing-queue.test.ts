import assert from 'node:assert/strict';
import type { KeyObject } from 'node:crypto';
import test from 'node:test';
import { type Signed, SigningQueue } from '../../../src/agent/identities/signing-queue.js';
import type { SignRequest, SignResult } from '../../../src/agent/server/api.js';
import { TouchmarkError } from '../../../src/errors.js';
import { parseSelector } from '../../../src/spiffe/selector.js';
import { readCsr } from '../../../src/x509/csr.js';
import { generateKey } from '../../../src/x509/keys.js';
import { exportSpki } from '../../../src/x509/spki.js';
import { makeEntry } from '../../fakes/entries.js';
import { settle, until } from '../../fakes/manual-clock.js';

type Sign = (requests: readonly SignRequest[]) => Promise<readonly SignResult[]>;

const oneKey = generateKey('ec-p256');
const chainOf = (request: SignRequest) => ({ chain: [request.csr] });

function begin(sign: Sign = async (requests) => requests.map(chainOf), makeKey = () => oneKey) {
  const ended = new AbortController();
  const batches: string[][] = [];
  const done: Signed[] = [];
  const queue = new SigningQueue({
    signal: ended.signal,
    makeKey,
    done: (outcome) => done.push(outcome),
    sign(requests) {
      batches.push(requests.map(({ entryId }) => entryId));
      return sign(requests);
    },
  });
  return { queue, batches, done, ended };
}

/** Calls that are answered when the test says so. */
function held() {
  const open: (() => void)[] = [];
  const sign: Sign = (requests) => new Promise((resolve) => open.push(() => resolve(requests.map(chainOf))));
  return { open, sign };
}

const measuredBinary = [`binary:sha256:${'a'.repeat(64)}`, 'binary:measured:true'].map(parseSelector);
const measured = (id: string, revisionNumber = 0) =>
  makeEntry(id, { selectors: measuredBinary, revisionNumber });

const errorOf = (outcome: Signed | undefined) =>
  outcome !== undefined && 'error' in outcome ? outcome.error : assert.fail('it was signed');

test('what is wished for in one turn travels in one call, urgent wishes first', async () => {
  const { queue, batches, done } = begin();
  queue.add(makeEntry('a'), false);
  queue.add(makeEntry('b'), true);
  queue.add(makeEntry('c'), false);
  queue.add(makeEntry('c'), true);
  assert.equal(queue.size, 3);
  await until('signed', () => done.length === 3);
  assert.deepEqual(batches, [['b', 'c', 'a']]);
  assert.equal(queue.size, 0);
});

test('measured binaries travel apart, in at most two calls at a time, and hold up nobody', async () => {
  const { open, sign } = held();
  const { queue, batches, done } = begin(sign);
  queue.add(measured('m1'), true);
  queue.add(makeEntry('a'), true);
  await until('two calls', () => open.length === 2);
  queue.add(measured('m2'), true);
  await until('three calls', () => open.length === 3);
  queue.add(measured('m3'), true);
  queue.add(makeEntry('b'), false);
  await until('four calls', () => open.length === 4);
  assert.deepEqual(batches, [['m1'], ['a'], ['m2'], ['b']]);
  open[0]?.();
  await until('the third measured one', () => open.length === 5);
  assert.deepEqual(batches.at(-1), ['m3']);
  for (const answer of open) answer();
  await until('signed', () => done.length === 5);
});

test('an entry that becomes one of a measured binary while it waits is asked for once, and stays urgent', async () => {
  const { queue, batches, done } = begin();
  queue.add(measured('m'), false);
  queue.add(makeEntry('a'), true);
  queue.add(measured('a', 1), false);
  assert.equal(queue.size, 2);
  await until('signed', () => done.length === 2);
  assert.deepEqual(batches, [['a', 'm']]);
  assert.equal(done[0]?.entry.revisionNumber, 1);
});

test('an urgent wish is not made ordinary by a later ordinary one', async () => {
  const { queue, batches, done } = begin();
  queue.add(makeEntry('a'), false);
  queue.add(makeEntry('b'), true);
  queue.add(makeEntry('b', { revisionNumber: 1 }), false);
  await until('signed', () => done.length === 2);
  assert.deepEqual(batches, [['b', 'a']]);
  assert.equal(done[0]?.entry.revisionNumber, 1);
});

test('each request carries a key of its own, and the answer comes with it', async () => {
  const keys: KeyObject[] = [];
  const csrs: Uint8Array[] = [];
  const { queue, done } = begin(
    async (requests) => {
      csrs.push(...requests.map(({ csr }) => csr));
      return requests.map(chainOf);
    },
    async () => {
      const key = await generateKey('ec-p256');
      keys.push(key);
      return key;
    },
  );
  queue.add(makeEntry('a'), false);
  queue.add(makeEntry('b'), false);
  await until('signed', () => done.length === 2);
  assert.equal(new Set(keys).size, 2);
  for (const [at, outcome] of done.entries()) {
    assert.ok('key' in outcome && outcome.key === keys[at]);
    assert.deepEqual(Buffer.from(readCsr(csrs[at] ?? new Uint8Array()).spki), exportSpki(outcome.key));
  }
});

test('no more than a hundred travel together, and no more than four calls are under way', async () => {
  const { open, sign } = held();
  const { queue, batches, done } = begin(sign);
  for (let at = 0; at < 520; at += 1) queue.add(makeEntry(`e${at}`), false);
  await until('four are under way', () => open.length === 4);
  await settle();
  assert.deepEqual([open.length, queue.size], [4, 520]);
  open.shift()?.();
  await until('the next is under way', () => batches.length === 5);
  for (let left = 5; left > 0; left -= 1) {
    await until('under way', () => open.length > 0 || done.length === 520);
    for (const answer of open.splice(0)) answer();
  }
  await until('all are done', () => done.length === 520);
  assert.deepEqual(
    batches.map(({ length }) => length),
    [100, 100, 100, 100, 100, 20],
  );
});

test('a wish for what is being signed at this revision joins it, a newer revision does not', async () => {
  const { open, sign } = held();
  const { queue, batches, done } = begin(sign);
  queue.add(makeEntry('a'), false);
  await until('under way', () => open.length === 1);
  queue.add(makeEntry('a'), true);
  assert.equal(queue.size, 1);
  queue.add(makeEntry('a', { revisionNumber: 1 }), true);
  await until('both are under way', () => open.length === 2);
  for (const answer of open) answer();
  await until('both are done', () => done.length === 2);
  assert.deepEqual(batches, [['a'], ['a']]);
  assert.equal(queue.size, 0);
});

test('a call that fails is the outcome of each of its entries', async () => {
  const away = new TouchmarkError('server_away', 'the server is away');
  const { queue, done } = begin(() => Promise.reject(away));
  queue.add(makeEntry('a'), false);
  queue.add(makeEntry('b'), false);
  await until('told', () => done.length === 2);
  assert.deepEqual(done.map(errorOf), [away, away]);
  assert.equal(queue.size, 0);
});

test('a key that cannot be made is told like a call that fails', async () => {
  const { queue, done, batches } = begin(undefined, () => Promise.reject(new Error('no entropy')));
  queue.add(makeEntry('a'), false);
  await until('told', () => done.length === 1);
  assert.deepEqual([errorOf(done[0]), batches], [new Error('no entropy'), []]);
});

test('an answer that is missing is an error of the server, and an extra one is nobody’s', async () => {
  const { queue, done } = begin(async (requests) => requests.slice(0, 1).map(chainOf));
  queue.add(makeEntry('a'), false);
  queue.add(makeEntry('b'), false);
  await until('told', () => done.length === 2);
  assert.ok('chain' in (done[0] ?? {}));
  const error = errorOf(done[1]);
  assert.ok(error instanceof TouchmarkError);
  assert.deepEqual(
    [error.code, error.message],
    ['server_answer_invalid', 'the server gave no answer for entry "b"'],
  );
  const generous = begin(async (requests) => [...requests, ...requests].map(chainOf));
  generous.queue.add(makeEntry('a'), false);
  await until('told', () => generous.done.length > 0);
  await settle();
  assert.equal(generous.done.length, 1);
});

test('what is removed before its turn is not asked for', async () => {
  const { queue, batches } = begin();
  queue.add(makeEntry('a'), false);
  queue.add(makeEntry('b'), true);
  queue.remove('a');
  queue.remove('b');
  assert.equal(queue.size, 0);
  await settle();
  assert.deepEqual(batches, []);
});

test('after everything was forgotten an answer that is still on its way is thrown away', async () => {
  const { open, sign } = held();
  const { queue, done, batches } = begin(sign);
  queue.add(makeEntry('a'), false);
  await until('under way', () => open.length === 1);
  queue.clear();
  assert.equal(queue.size, 0);
  queue.add(makeEntry('a'), false);
  await until('asked anew', () => batches.length === 2);
  for (const answer of open) answer();
  await until('done', () => done.length === 1);
  await settle();
  assert.equal(done.length, 1);
});

test('when the signal has ended nothing more is asked', async () => {
  const { queue, batches, ended } = begin();
  ended.abort();
  queue.add(makeEntry('a'), true);
  await settle();
  assert.deepEqual(batches, []);
});
