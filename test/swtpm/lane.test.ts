import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createChip } from '../../src/agent/measure/chip.js';
import { hasCode } from '../../src/errors.js';
import { openTpm } from '../../src/host/open-tpm.js';
import { startSwtpm } from '../../src/host/swtpm.js';
import type { TpmDevice } from '../../src/host/tpm.js';
import { silentLogger } from '../../src/log.js';
import { makeCredential } from '../../src/tpm/make-credential.js';
import { nameOf } from '../../src/tpm/name.js';
import { parsePublic } from '../../src/tpm/public.js';
import { haveSwtpm, startCopy } from '../support/swtpm.js';

const log = silentLogger();
const unique = createHash('sha256').update('unique of this test').digest();
const selection = { bank: 'sha256', pcrs: [0, 7] } as const;
const nothingLoaded = { transient: 0, loadedSessions: 0, savedSessions: 0, persistent: 2 };

const openDescriptors = () => readdirSync('/proc/self/fd').length;

/** One opening, one thing done or tried, one closing. */
const deeds: ((tpm: TpmDevice) => Promise<unknown>)[] = [
  (tpm) => tpm.describe(),
  (tpm) => tpm.attestationKey(unique),
  (tpm) => tpm.quote(unique, Buffer.alloc(32), selection),
  (tpm) => tpm.pcrRead(selection),
  (tpm) => tpm.chainCertificates(),
  (tpm) => assert.rejects(tpm.quote(unique, Buffer.alloc(32), { bank: 'sha256', pcrs: [99] })),
  (tpm) =>
    Promise.all([tpm.quote(unique, Buffer.alloc(32), selection), tpm.attestationKey(Buffer.alloc(32))]),
  // Not awaited by anybody: closing waits for it.
  async (tpm) => void tpm.quote(unique, Buffer.alloc(32), selection).catch(() => {}),
];

/** Making an RSA key takes longest, so these come less often. */
const dearDeeds: ((tpm: TpmDevice) => Promise<unknown>)[] = [
  (tpm) => tpm.endorsementKeys(),
  (tpm) => assert.rejects(tpm.activateCredential('rsa2048-l1', unique, randomBytes(70), randomBytes(256))),
  (tpm) => assert.rejects(tpm.activateCredential('p384-h3', unique, randomBytes(70), randomBytes(100))),
  async (tpm) => {
    const [key] = await tpm.endorsementKeys();
    assert.ok(key);
    const akName = nameOf(parsePublic(await tpm.attestationKey(unique)));
    const made = makeCredential({ ek: parsePublic(key.public), akName, credential: Buffer.alloc(32, 3) });
    const given = await tpm.activateCredential(
      key.template,
      unique,
      made.credentialBlob,
      made.encryptedSecret,
    );
    assert.deepEqual(Buffer.from(given), Buffer.alloc(32, 3));
  },
];

describe('the lane to the chip', () => {
  test('leaves nothing behind in the chip and in this process after 1 000 openings', async (t) => {
    if (!(await haveSwtpm(t))) return;
    await using chip = await startCopy();
    let descriptors = 0;
    for (let round = 0; round < 1000; round += 1) {
      await using tpm = await openTpm({ tcti: chip.tcti, log });
      const deed = round % 25 === 24 ? dearDeeds[round % dearDeeds.length] : deeds[round % deeds.length];
      await deed?.(tpm);
      if (round === 99) descriptors = openDescriptors();
    }
    await using tpm = await openTpm({ tcti: chip.tcti, log });
    assert.deepEqual((await tpm.describe()).loadedHandles, nothingLoaded);
    assert.equal((await tpm.describe()).lockoutCounter, 0);
    assert.ok(
      openDescriptors() <= descriptors + 3,
      `${openDescriptors()} descriptors, ${descriptors} before`,
    );
  });

  test('serves callers one after the other, in their order', async (t) => {
    if (!(await haveSwtpm(t))) return;
    await using chip = await startCopy();
    await using tpm = await openTpm({ tcti: chip.tcti, log });
    const finished: number[] = [];
    const calls = Array.from({ length: 60 }, async (_, at) => {
      await deeds[at % 5]?.(tpm);
      finished.push(at);
    });
    await Promise.all(calls);
    assert.deepEqual(
      finished,
      finished.toSorted((a, b) => a - b),
    );
    assert.deepEqual((await tpm.describe()).loadedHandles, nothingLoaded);
  });

  test('gives up on a chip that does not answer, and has cleaned up once it answers again', async (t) => {
    if (!(await haveSwtpm(t))) return;
    await using chip = await startCopy();
    await using tpm = await openTpm({ tcti: chip.tcti, log, timeoutMs: 300 });
    process.kill(chip.pid, 'SIGSTOP');
    const started = performance.now();
    await assert.rejects(tpm.quote(unique, Buffer.alloc(32), selection), {
      code: 'tpm_timeout',
      message: `the TPM at ${chip.tcti} did not answer a command within 300 ms`,
    });
    assert.ok(performance.now() - started < 2000);
    process.kill(chip.pid, 'SIGCONT');
    await untilWorking(() => tpm.describe());
    assert.deepEqual((await tpm.describe()).loadedHandles, nothingLoaded);
    await tpm.quote(unique, Buffer.alloc(32), selection);
    assert.deepEqual((await tpm.describe()).loadedHandles, nothingLoaded);
  });

  test('does not let a dead chip take all threads of the process', async (t) => {
    if (!(await haveSwtpm(t))) return;
    await using chip = await startCopy();
    await using tpm = await openTpm({ tcti: chip.tcti, log, timeoutMs: 150 });
    process.kill(chip.pid, 'SIGSTOP');
    const codes = new Set<string>();
    for (let call = 0; call < 6; call += 1) {
      const error: unknown = await tpm.pcrRead(selection).catch((caught) => caught);
      assert.ok(hasCode(error, 'tpm_timeout', 'tpm_unavailable'), String(error));
      codes.add(error.code);
    }
    // A look at a directory needs a thread of the same pool.
    assert.equal(await Promise.race([readdir('/').then(() => 'read'), sleep(1000, 'starved')]), 'read');
    assert.deepEqual([...codes].sort(), ['tpm_timeout', 'tpm_unavailable']);
    process.kill(chip.pid, 'SIGCONT');
    await untilWorking(() => tpm.describe());
  });

  test('does not let a chip that is opened anew each time take all threads, and works once it answers', async (t) => {
    if (!(await haveSwtpm(t))) return;
    await using swtpm = await startCopy();
    await using chip = createChip({
      ...{ unique, log },
      open: () => openTpm({ tcti: swtpm.tcti, log, timeoutMs: 150 }),
    });
    await chip.use((tpm) => tpm.describe());
    process.kill(swtpm.pid, 'SIGSTOP');
    for (let call = 0; call < 8; call += 1) {
      const error: unknown = await chip.use((tpm) => tpm.describe()).catch((caught) => caught);
      assert.ok(hasCode(error, 'tpm_timeout', 'tpm_unavailable'), String(error));
    }
    assert.equal(await Promise.race([readdir('/').then(() => 'read'), sleep(1000, 'starved')]), 'read');
    process.kill(swtpm.pid, 'SIGCONT');
    await untilWorking(() => chip.use((tpm) => tpm.describe()));
    const { loadedHandles } = await chip.use((tpm) => tpm.describe());
    assert.deepEqual(loadedHandles, nothingLoaded);
  });

  test('names the device that went away', async (t) => {
    if (!(await haveSwtpm(t))) return;
    await using chip = await startCopy();
    await using tpm = await openTpm({ tcti: chip.tcti, log });
    await tpm.attestationKey(unique);
    await chip.dispose();
    const path = chip.tcti.replace('swtpm:path=', '');
    await assert.rejects(tpm.pcrRead(selection), {
      code: 'tpm_device_missing',
      message: `there is no TPM at ${path}: enable it in the firmware setup or name another device`,
    });
  });

  test('goes on by itself after the chip was powered off and on', async (t) => {
    if (!(await haveSwtpm(t))) return;
    await using chip = await startCopy();
    await using tpm = await openTpm({ tcti: chip.tcti, log });
    const before = await tpm.attestationKey(unique);
    // Stops the process only; the state stays and the same path serves again.
    process.kill(chip.pid, 'SIGTERM');
    await untilGone(chip.pid);
    await using _restarted = await startSwtpm(chip.chip, chip.directory);
    assert.deepEqual(await tpm.attestationKey(unique), before);
    const { attest } = await tpm.quote(unique, Buffer.alloc(32), selection);
    assert.ok(attest.length > 100);
    assert.deepEqual((await tpm.describe()).loadedHandles, nothingLoaded);
  });

  test('says that it was closed', async (t) => {
    if (!(await haveSwtpm(t))) return;
    await using chip = await startCopy();
    const tpm = await openTpm({ tcti: chip.tcti, log });
    await tpm[Symbol.asyncDispose]();
    await tpm[Symbol.asyncDispose]();
    await assert.rejects(tpm.describe(), {
      code: 'tpm_unavailable',
      message: `the TPM at ${chip.tcti} was closed by this process`,
    });
  });

  test('leaves nothing behind when its process is killed at work', async (t) => {
    if (!(await haveSwtpm(t))) return;
    await using chip = await startCopy();
    const script = `
      const { openTpm } = await import(${JSON.stringify(new URL('../../src/host/open-tpm.js', import.meta.url).href)});
      const { silentLogger } = await import(${JSON.stringify(new URL('../../src/log.js', import.meta.url).href)});
      const tpm = await openTpm({ tcti: ${JSON.stringify(chip.tcti)}, log: silentLogger() });
      await tpm.quote(new Uint8Array(32), new Uint8Array(32), { bank: 'sha256', pcrs: [0] });
      process.exit(0);`;
    execFileSync(process.execPath, ['--input-type=module', '-e', script]);
    await using tpm = await openTpm({ tcti: chip.tcti, log });
    assert.deepEqual((await tpm.describe()).loadedHandles, nothingLoaded);
  });
});

async function untilWorking(work: () => Promise<unknown>): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      await work();
      return;
    } catch (error) {
      if (attempt === 50) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

async function untilGone(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
