import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openLevelDatastore } from '../../src/server/datastores/level.js';
import { PARTS } from './store-writer.js';

const ROUNDS = Number(process.env['TOUCHMARK_KILL_ROUNDS'] ?? 200);
const writer = join(import.meta.dirname, 'store-writer.js');

interface Acknowledged {
  /** The newest number by lane. */
  readonly lanes: Map<string, number>;
  revision: number;
  epoch: string;
  count: number;
}

/** Lets the writer run for a while after its first acknowledgement, kills it, and returns when it is gone. */
async function killedWriter(directory: string, afterMs: number, seen: Acknowledged): Promise<void> {
  const child = spawn(process.execPath, [writer, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  let timer: NodeJS.Timeout | undefined;
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    timer ??= setTimeout(() => child.kill('SIGKILL'), afterMs);
  });
  const [, signal] = await once(child, 'close');
  clearTimeout(timer);
  assert.equal(signal, 'SIGKILL', `the writer ended by itself: ${text.slice(-300)}`);
  // A line without its end was not acknowledged to anybody.
  for (const line of text.split('\n').slice(0, -1)) note(line.split(' '), seen);
}

function note([first = '', second = '', third = '']: string[], seen: Acknowledged): void {
  if (first === 'open') {
    assert.ok(
      Number(second) >= seen.revision,
      `it opened at ${second} after ${seen.revision} was acknowledged`,
    );
    if (seen.epoch !== '') assert.equal(third, seen.epoch);
    seen.epoch = third;
    return;
  }
  seen.lanes.set(first, Number(second));
  seen.revision = Math.max(seen.revision, Number(third));
  seen.count += 1;
}

async function check(directory: string, seen: Acknowledged): Promise<void> {
  await using store = await openLevelDatastore(directory);
  assert.ok(
    store.revision >= seen.revision,
    `revision ${store.revision} after ${seen.revision} was acknowledged`,
  );
  for (const [lane, acknowledged] of [...seen.lanes]) {
    const parts = await Promise.all(
      Array.from({ length: PARTS }, (_, part) => store.get('meta', `lane${lane}-part${part}`)),
    );
    const numbers = new Set(parts.map((part) => Number.parseInt(part?.value.value ?? '-1', 10)));
    const revisions = new Set(parts.map((part) => part?.revision));
    assert.equal(numbers.size, 1, `a torn batch: lane ${lane} holds ${[...numbers].join(', ')}`);
    assert.equal(revisions.size, 1);
    const [held = -1] = numbers;
    // At most the one batch that was on its way may be there beyond what was acknowledged.
    assert.ok(
      held === acknowledged || held === acknowledged + 1,
      `lane ${lane}: ${held}, acknowledged ${acknowledged}`,
    );
    // What was found once must stay: the next writer goes on from here.
    seen.lanes.set(lane, held);
    const log = await store.get('meta', `lane${lane}-log-${held % 50}`);
    assert.equal(log?.value.value, String(held));
  }
}

test(`a writer that is killed ${ROUNDS} times loses nothing that it acknowledged`, {
  timeout: 600_000,
}, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'touchmark-kill-'));
  try {
    const seen: Acknowledged = { lanes: new Map(), revision: 0, epoch: '', count: 0 };
    for (let round = 0; round < ROUNDS; round += 1) {
      await killedWriter(directory, (round * 7) % 60, seen);
      await check(directory, seen);
    }
    assert.ok(seen.count > ROUNDS, `only ${seen.count} writes in ${ROUNDS} rounds`);
    t.diagnostic(`${seen.count} acknowledged batches, revision ${seen.revision}`);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});

test('a second process on the directory is refused with a sentence while the first lives, and not afterwards', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'touchmark-second-'));
  const child = spawn(process.execPath, [writer, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await once(child.stdout, 'data');
    await assert.rejects(openLevelDatastore(directory), {
      code: 'datastore_locked',
      message: `the datastore directory ${directory} is in use by another process`,
    });
    child.kill('SIGKILL');
    await once(child, 'exit');
    await using store = await openLevelDatastore(directory);
    assert.ok(store.revision >= 0);
  } finally {
    child.kill('SIGKILL');
    await rm(directory, { recursive: true, force: true });
  }
});
