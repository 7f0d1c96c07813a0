import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TouchmarkError } from '../../src/errors.js';
import { parseBootLog } from '../../src/measure/boot/boot-log.js';
import { replayBootLog } from '../../src/measure/boot/boot-replay.js';
import { eventType } from '../../src/measure/boot/event-types.js';
import { parseUserspaceLog } from '../../src/measure/userspace/userspace-log.js';
import { replayUserspaceLog } from '../../src/measure/userspace/userspace-replay.js';
import { agileLog, locality, separators, sha1Log, variable } from '../support/boot-log-factory.js';
import { record, userspaceLog } from '../support/userspace-log-factory.js';

const secureBoot = {
  pcr: 7,
  type: eventType.efiVariableDriverConfig,
  data: variable('SecureBoot', '\x01'),
};
const events = [locality(3), { pcr: 0, type: eventType.crtmVersion, data: 'v1' }, secureBoot];
const boot = (bytes: Uint8Array) => {
  const log = parseBootLog(bytes);
  return { events: log.events.length, replay: replayBootLog(log) };
};
const userspace = (bytes: Uint8Array) => {
  const log = parseUserspaceLog(bytes);
  return { events: log.events.length, replay: replayUserspaceLog(log) };
};

/** Numbers that are the same in every run (mulberry32). */
function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

function mutate(bytes: Buffer, next: (below: number) => number): Buffer {
  const copy = Buffer.from(bytes);
  const at = next(copy.length);
  switch (next(5)) {
    case 0:
      copy[at] = next(256);
      return copy;
    case 1:
      return copy.subarray(0, at);
    case 2:
      return Buffer.concat([copy.subarray(0, at), copy.subarray(next(copy.length))]);
    case 3:
      return copy.fill(0xff, at, Math.min(at + 4, copy.length));
    default:
      copy[at] = (copy[at] ?? 0) ^ (1 << next(8));
      return copy;
  }
}

for (const [name, bytes, read] of [
  ['a crypto-agile boot log', agileLog([...events, ...separators()]), boot],
  ['a SHA-1 boot log', sha1Log([...events, ...separators()]), boot],
  ['a userspace log', userspaceLog(record(11, 'enter-initrd'), record(15, 'machine-id:x')), userspace],
] as const) {
  test(`${name}: 2 000 mutations are read or refused, nothing else`, () => {
    const next = seeded(4);
    let refused = 0;
    for (let round = 0; round < 2000; round++) {
      const mutated = mutate(bytes, next);
      try {
        const { events, replay } = read(mutated);
        assert.ok(events <= mutated.length / 16, `round ${round}: ${events} events`);
        assert.ok(replay.findings.length <= 4 * events + 16, `round ${round}`);
      } catch (error) {
        assert.ok(error instanceof TouchmarkError, `round ${round}: ${String(error)}`);
        assert.match(error.code, /^(boot|userspace)_log_(invalid|truncated)$/, `round ${round}`);
        refused++;
      }
    }
    assert.ok(refused > 200 && refused < 2000, `${refused} were refused`);
  });
}

test('a changed byte of the genuine log changes a PCR, adds a finding or touches only what nobody vouches for', () => {
  const bytes = agileLog([secureBoot, ...separators()]);
  const genuine = boot(bytes).replay;
  assert.deepEqual(genuine.findings, []);
  const header = agileLog([]).length;
  for (let at = header; at < bytes.length; at++) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ 0x40;
    const result = outcome(changed);
    if (result === 'refused') continue;
    const same = JSON.stringify(values(result)) === JSON.stringify(values(genuine));
    assert.ok(!same || result.findings.length > 0, `byte ${at} goes unseen`);
  }
});

function outcome(bytes: Buffer) {
  try {
    return boot(bytes).replay;
  } catch (error) {
    assert.ok(error instanceof TouchmarkError);
    return 'refused';
  }
}

function values({ pcrs }: ReturnType<typeof replayBootLog>) {
  return [...pcrs].map(([bank, ofBank]) => [bank, [...ofBank].map(([pcr, value]) => [pcr, [...value]])]);
}
