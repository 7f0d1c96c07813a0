import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TouchmarkError } from '../../../src/errors.js';
import { authenticodeHash } from '../../../src/measure/uki/authenticode.js';
import { predictPcr11 } from '../../../src/measure/uki/pcr11.js';
import { parsePe } from '../../../src/measure/uki/pe-image.js';
import { isUki, osReleaseOf, readUki } from '../../../src/measure/uki/uki.js';
import { makePe, makeUki } from '../../support/pe-factory.js';

const kernel = makePe({ format: 'pe32', sections: [{ name: '.text', content: 'kernel' }] });
const genuine = makeUki(
  [
    { name: '.linux', content: kernel },
    { name: '.osrel', content: 'ID=debian\n' },
    { name: '.cmdline', content: 'quiet' },
    { name: '.profile', content: 'TITLE=x' },
  ],
  '.linux .osrel .cmdline .profile',
  { certificates: [Buffer.alloc(40, 7)] },
);
const headers = 1024;
const ROUNDS = 12_000;

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

/** Mostly in the headers, where the structure is. */
function mutate(next: (below: number) => number): Buffer {
  const copy = Buffer.from(genuine);
  const at = next(next(4) === 0 ? copy.length - 4 : headers);
  switch (next(6)) {
    case 0:
      return copy.subarray(0, at);
    case 1:
      return copy.fill(0xff, at, at + 4);
    case 2:
      return copy.fill(0, at, at + 4);
    case 3:
      copy.writeUInt32LE(next(copy.length * 2), at);
      return copy;
    case 4:
      return Buffer.concat([copy.subarray(0, at), copy.subarray(next(copy.length))]);
    default:
      copy[at] = (copy[at] ?? 0) ^ (1 << next(8));
      return copy;
  }
}

/** All that is ever computed of an image. */
function everything(bytes: Buffer): string[] {
  const image = parsePe(bytes);
  const made = [Buffer.from(authenticodeHash(image, 'sha256')).toString('hex')];
  const hashed = image.hashed.reduce((sum, { start, end }) => sum + end - start, 0);
  assert.ok(hashed <= 2 * bytes.length, `${hashed} of ${bytes.length} bytes hashed`);
  if (!isUki(image)) return made;
  const { profiles, kernel: inner } = readUki(image);
  for (const profile of profiles) {
    made.push(Buffer.from(predictPcr11(profile, 'sha256').stub).toString('hex'));
    osReleaseOf(profile);
  }
  if (inner) made.push(Buffer.from(authenticodeHash(inner, 'sha256')).toString('hex'));
  return made;
}

test(`${ROUNDS} mutations of an image are read or refused, in bounded time, and none passes for the genuine one`, () => {
  const next = seeded(11);
  const [image, pcr11, inner] = everything(genuine);
  assert.ok(image && pcr11 && inner);
  let refused = 0;
  const begin = process.hrtime.bigint();
  for (let round = 0; round < ROUNDS; round++) {
    const mutated = mutate(next);
    try {
      const [now] = everything(mutated);
      if (now === image) assert.ok(sameButUnhashed(mutated), `round ${round} has the genuine hash`);
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      assert.ok(error instanceof TouchmarkError, `round ${round}: ${String(error)}`);
      assert.match(error.code, /^(pe_truncated|pe_invalid|uki_invalid)$/, `round ${round}`);
      refused++;
    }
  }
  assert.ok(refused > 2000 && refused < ROUNDS - 2000, `${refused} were refused`);
  const seconds = Number(process.hrtime.bigint() - begin) / 1e9;
  assert.ok(seconds < 30, `${seconds} s`);
});

/** Whether the two differ only in what Authenticode leaves out: checksum, certificate entry, certificates. */
function sameButUnhashed(mutated: Buffer): boolean {
  const content = (bytes: Buffer) => {
    const copy = Buffer.from(bytes);
    copy.fill(0, 152, 156).fill(0, 232, 240);
    return copy.subarray(0, genuine.length - 48);
  };
  return content(mutated).equals(content(genuine));
}
