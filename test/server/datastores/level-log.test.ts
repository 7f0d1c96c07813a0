import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openLevelDatastore } from '../../../src/server/datastores/level.js';
import { damageBeforeEnd } from '../../../src/server/datastores/level-log.js';

const path = await mkdtemp(join(tmpdir(), 'touchmark-log-'));
after(() => rm(path, { recursive: true, force: true }));

/** A log as LevelDB writes it: small records, and one that fills several blocks. */
async function realLog(): Promise<Buffer> {
  await using store = await openLevelDatastore(path);
  for (let i = 0; i < 30; i += 1) {
    const value = 'v'.repeat(i === 20 ? 100_000 : i * 40);
    await store.commit([{ kind: 'meta', key: `k${i}`, value: { value } }]);
  }
  const name = (await readdir(path)).find((file) => file.endsWith('.log')) ?? '';
  return readFile(join(path, name));
}
const log = await realLog();

test('a whole log, an empty one and one of zeros have no damage', () => {
  assert.equal(damageBeforeEnd(log), undefined);
  assert.equal(damageBeforeEnd(new Uint8Array()), undefined);
  assert.equal(damageBeforeEnd(new Uint8Array(5000)), undefined);
});

test('a log that was cut off anywhere has no damage before its end', () => {
  for (let end = log.length; end > 0; end -= 997)
    assert.equal(damageBeforeEnd(log.subarray(0, end)), undefined);
});

test('zeros or rubbish where the last record should be are an end, not damage', () => {
  for (const filler of [0, 0xff, 0x01]) {
    const torn = Buffer.from(log);
    torn.fill(filler, log.length - 500);
    assert.equal(damageBeforeEnd(torn), undefined);
    assert.equal(damageBeforeEnd(Buffer.concat([log, Buffer.alloc(40_000, filler)])), undefined);
  }
});

test('a changed byte with whole records behind it is damage', () => {
  for (let at = 0; at < log.length - 3000; at += 1231) {
    const broken = Buffer.from(log);
    broken[at] = (broken[at] ?? 0) ^ 0x10;
    const found = damageBeforeEnd(broken);
    assert.ok(found !== undefined && found <= at, `byte ${at}`);
  }
});

test('a changed byte in the last record is taken for its end', () => {
  const broken = Buffer.from(log);
  broken[log.length - 20] = (broken[log.length - 20] ?? 0) ^ 0x10;
  assert.equal(damageBeforeEnd(broken), undefined);
});
