import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { limits } from '../../src/server/record/model.js';
import { verifyLog } from '../../src/server/record/verify.js';
import { hostIn, judgement } from '../server/hosts/records.js';
import { allowWrite, eventsOf, type RecordWorld, recordWorld } from '../server/record/world.js';
import { userspaceRecords } from '../support/appraisal-factory.js';
import { judge } from '../support/appraisal-judge.js';
import { record } from '../support/userspace-log-factory.js';

const FIRST = '0000000000000001.jsonl';

/** A small log with an orderly end, and what verifying it again and again takes. */
async function smallLog(world: RecordWorld): Promise<{ bytes: Buffer; path: string }> {
  const log = await world.open();
  await log.store.commit([allowWrite('web-1')]);
  await log.store.commit([allowWrite('wéb-2 \ufffd')]);
  await log.close();
  await log[Symbol.asyncDispose]();
  const path = join(world.directory, FIRST);
  return { bytes: await readFile(path), path };
}

async function problemOf(world: RecordWorld): Promise<string | undefined> {
  const { directory } = world;
  return (await verifyLog({ directory, keys: world.keys() })).problem?.code;
}

test('every byte of a log that is changed is found, whatever it is changed to', async (t) => {
  const world = await recordWorld(t);
  const { bytes, path } = await smallLog(world);
  assert.equal(await problemOf(world), undefined);
  for (let at = 0; at < bytes.length; at += 1) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
    await writeFile(path, changed);
    assert.notEqual(await problemOf(world), undefined, `byte ${at} of ${bytes.length}`);
  }
});

test('every byte that is taken out or put in is found, and every line that is dropped, doubled or moved', async (t) => {
  const world = await recordWorld(t);
  const { bytes, path } = await smallLog(world);
  for (let at = 0; at < bytes.length; at += 7) {
    await writeFile(path, Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]));
    assert.notEqual(await problemOf(world), undefined, `without byte ${at}`);
    await writeFile(path, Buffer.concat([bytes.subarray(0, at), Buffer.of(0x20), bytes.subarray(at)]));
    assert.notEqual(await problemOf(world), undefined, `a space at ${at}`);
  }
  const lines = bytes.toString('utf8').split('\n').slice(0, -1);
  const written = (all: readonly string[]) => writeFile(path, all.map((line) => `${line}\n`).join(''));
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] ?? '';
    const others = lines.toSpliced(at, 1);
    // The last line that goes leaves a log that ends earlier: only what is known from elsewhere can tell.
    if (at < lines.length - 1) {
      await written(others);
      assert.notEqual(await problemOf(world), undefined, `without line ${at + 1}`);
      await written(others.toSpliced(at + 1, 0, line));
      assert.notEqual(await problemOf(world), undefined, `line ${at + 1} moved down`);
    }
    await written(lines.toSpliced(at, 0, line));
    assert.notEqual(await problemOf(world), undefined, `line ${at + 1} doubled`);
  }
});

test('an end that is cut off anywhere but behind a line is found; behind a line, by what is known from elsewhere', async (t) => {
  const world = await recordWorld(t);
  const { bytes, path } = await smallLog(world);
  const expected = [{ seq: 7, hash: JSON.parse(bytes.toString().split('\n')[6] ?? '{}').hash }];
  for (let end = 1; end < bytes.length; end += 1) {
    await writeFile(path, bytes.subarray(0, end));
    const { directory } = world;
    const report = await verifyLog({ directory, keys: world.keys(), expected });
    assert.notEqual(report.problem, undefined, `cut at ${end}`);
  }
});

test('a log that somebody wrote with a key of their own is vouched for by nobody', async (t) => {
  const world = await recordWorld(t);
  await smallLog(world);
  const other = await recordWorld(t);
  const { bytes } = await smallLog(other);
  await writeFile(join(world.directory, FIRST), bytes);
  // The forger's key has the name of ours.
  assert.equal(await problemOf(world), 'record_checkpoint_invalid');
  other.authority.published = [];
  assert.equal(await problemOf(other), 'record_unsigned');
});

test('what a host writes into its own logs never makes a line that cannot be read again', async (t) => {
  const world = await recordWorld(t);
  const log = await world.open({ segmentBytes: 1 });
  const texts = Array.from({ length: 20 }, (_, at) => `${'€'.repeat(300)}${'\x01'.repeat(3800)}${at}`);
  const { explanation } = judge({
    userspace: [...userspaceRecords, ...texts.map((one) => record(11, one))],
  });
  const { components } = explanation;
  assert.equal(components.find(({ component }) => component === 'userspace')?.reasons.length, 20);
  for (const verdict of ['trusted', 'drifted', 'suspect'] as const) {
    const host = hostIn('trusted', { appraisal: judgement(verdict, components) });
    await log.store.commit([{ kind: 'host', key: host.id, value: host }]);
  }
  await log.flushed();
  const lines = await world.lines();
  const told = lines.filter((line) => line.includes('"name":"host_verdict_changed"'));
  assert.equal(told.length, 3);
  for (const line of lines) assert.ok(Buffer.byteLength(line) <= limits.line, `${line.length} characters`);
  assert.equal((await eventsOf(log, { names: ['host_verdict_changed'] })).length, 3);
  assert.equal((await log.verify()).problem, undefined);
  await log[Symbol.asyncDispose]();
  await using again = await world.open();
  assert.equal((await eventsOf(again, { names: ['record_damaged', 'record_repaired'] })).length, 0);
  assert.equal((await again.verify()).problem, undefined);
});
