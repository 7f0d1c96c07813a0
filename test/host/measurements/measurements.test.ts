import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { appendFile, chmod, mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import type { LogWish, MeasuredLog, SentLogPart } from '../../../src/attest/logs.js';
import { openMeasurements } from '../../../src/host/measurements/measurements.js';

interface Laid {
  readonly directory: string;
  readonly bootLog: string;
  readonly imaList: string;
  readonly imaCount: string;
  readonly userspaceLog: string;
  readonly measurements: ReturnType<typeof openMeasurements>;
}

async function lay(t: TestContext): Promise<Laid> {
  const directory = await mkdtemp(join(tmpdir(), 'tm-logs-'));
  for (const part of ['tpm0', 'ima']) await mkdir(join(directory, part));
  const userspaceLog = join(directory, 'tpm2-measure.log');
  const measurements = openMeasurements({ securityfs: directory, userspaceLog });
  t.after(async () => {
    await measurements[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });
  return {
    directory,
    bootLog: join(directory, 'tpm0', 'binary_bios_measurements'),
    imaList: join(directory, 'ima', 'binary_runtime_measurements'),
    imaCount: join(directory, 'ima', 'runtime_measurements_count'),
    userspaceLog,
    measurements,
  };
}

function wish(log: MeasuredLog, change: Partial<LogWish> = {}): LogWish {
  return { log, offset: 0, knownSha256: new Uint8Array(), maxBytes: 0, ...change };
}

function told({ state, offset, data, remaining }: SentLogPart) {
  return { state, offset, size: data.length, remaining };
}

const kinds: MeasuredLog[] = ['boot-log', 'userspace-log', 'ima-list'];

test('a host without any log says so of each, and is no failure', async (t) => {
  const { directory, measurements } = await lay(t);
  const snapshot = measurements.snapshot();
  const reasons: string[] = [];
  for (const log of kinds) {
    const part = await snapshot.read(wish(log));
    assert.deepEqual(told(part), { state: 'absent', offset: 0, size: 0, remaining: 0 });
    reasons.push(part.reason.replaceAll(directory, 'SEC'));
  }
  assert.deepEqual(reasons, [
    'there is no SEC/tpm0/binary_bios_measurements: the firmware left no log, or SEC is not mounted',
    'systemd has written no SEC/tpm2-measure.log',
    'there is no SEC/ima/binary_runtime_measurements: the kernel keeps no IMA list, or SEC is not mounted',
  ]);
  assert.equal(await measurements.imaCount(), undefined);
});

test('the boot log is that of the chip that is configured', async (t) => {
  const { directory, userspaceLog, bootLog } = await lay(t);
  await mkdir(join(directory, 'tpm1'));
  await writeFile(bootLog, 'of the first');
  await writeFile(join(directory, 'tpm1', 'binary_bios_measurements'), 'of the second');
  for (const [tcti, expected] of [
    ['device:/dev/tpmrm1', 'of the second'],
    ['device:/dev/tpm1', 'of the second'],
    ['device:/dev/tpmrm0', 'of the first'],
    ['device:', 'of the first'],
    ['swtpm:path=/run/tpm1', 'of the first'],
  ] as const) {
    await using measurements = openMeasurements({ securityfs: directory, userspaceLog, tcti });
    const { data } = await measurements.snapshot().read(wish('boot-log'));
    assert.equal(Buffer.from(data).toString(), expected, tcti);
  }
});

test('a boot log comes whole, in pieces, or not at all when it is known', async (t) => {
  const { bootLog, measurements } = await lay(t);
  const content = randomBytes(200_000);
  await writeFile(bootLog, content);
  const snapshot = measurements.snapshot();
  const whole = await snapshot.read(wish('boot-log'));
  assert.deepEqual(told(whole), { state: 'present', offset: 0, size: 200_000, remaining: 0 });
  assert.ok(content.equals(whole.data));
  const first = await snapshot.read(wish('boot-log', { maxBytes: 150_000 }));
  assert.deepEqual(told(first), { state: 'present', offset: 0, size: 150_000, remaining: 50_000 });
  const rest = await snapshot.read(wish('boot-log', { offset: 150_000 }));
  assert.deepEqual(told(rest), { state: 'present', offset: 150_000, size: 50_000, remaining: 0 });
  assert.ok(content.equals(Buffer.concat([first.data, rest.data])));
  const knownSha256 = createHash('sha256').update(content).digest();
  const known = await snapshot.read(wish('boot-log', { knownSha256 }));
  assert.deepEqual(told(known), { state: 'unchanged', offset: 0, size: 0, remaining: 0 });
  const other = await snapshot.read(wish('boot-log', { knownSha256: Buffer.alloc(32) }));
  assert.equal(other.state, 'present');
});

test('a log that ends before what was asked for says how long it is', async (t) => {
  const { bootLog, userspaceLog, imaList, measurements } = await lay(t);
  for (const path of [bootLog, userspaceLog, imaList]) await writeFile(path, randomBytes(100));
  const snapshot = measurements.snapshot();
  for (const log of kinds) {
    const part = await snapshot.read(wish(log, { offset: 101 }));
    assert.deepEqual(told(part), { state: 'shorter', offset: 101, size: 0, remaining: 0 });
    assert.equal(part.reason, 'it has 100 bytes, less than the 101 that were seen before');
    assert.equal((await snapshot.read(wish(log, { offset: 100 }))).state, 'unchanged');
  }
});

test('a boot log that is larger than any, or reads differently each time, is told to be unreadable', async (t) => {
  const { bootLog, measurements } = await lay(t);
  await writeFile(bootLog, Buffer.alloc(2 * 1024 * 1024 + 1));
  const large = await measurements.snapshot().read(wish('boot-log'));
  assert.equal(large.state, 'unreadable');
  assert.match(large.reason, /has more than 2097152 bytes, which no such log has$/);
  await rm(bootLog);
  // Different at each reading, as a log would be whose driver mixes it up.
  await symlink('/proc/sys/kernel/random/uuid', bootLog);
  const unstable = await measurements.snapshot().read(wish('boot-log'));
  assert.equal(unstable.state, 'unreadable');
  assert.match(unstable.reason, /read differently each of 4 times$/);
});

test('a log that may not be read says so', async (t) => {
  const { bootLog, measurements } = await lay(t);
  await writeFile(bootLog, 'x', { mode: 0 });
  const root = process.getuid?.() === 0;
  if (root) process.seteuid?.(65_534);
  try {
    const part = await measurements.snapshot().read(wish('boot-log'));
    assert.deepEqual([part.state, part.reason], ['unreadable', `this process may not read ${bootLog}`]);
  } finally {
    if (root) process.seteuid?.(0);
  }
});

test('a directory in the place of a log is unreadable with the reason of the system', async (t) => {
  const { bootLog, measurements } = await lay(t);
  await mkdir(bootLog);
  const part = await measurements.snapshot().read(wish('boot-log'));
  assert.equal(part.state, 'unreadable');
  assert.match(part.reason, /EISDIR/);
});

test('a userspace log is waited for while systemd measures', async (t) => {
  const { userspaceLog, measurements } = await lay(t);
  await writeFile(userspaceLog, 'first');
  await chmod(userspaceLog, 0o1600);
  setTimeout(async () => {
    await appendFile(userspaceLog, ' second');
    await chmod(userspaceLog, 0o600);
  }, 60);
  const part = await measurements.snapshot().read(wish('userspace-log', { offset: 5 }));
  assert.equal(Buffer.from(part.data).toString(), ' second');
});

test('only what was added to the IMA list is read, in bounded pieces', async (t) => {
  const { imaList, measurements } = await lay(t);
  const content = randomBytes(2_500_000);
  await writeFile(imaList, content.subarray(0, 2_400_000));
  const snapshot = measurements.snapshot();
  const pieces: Uint8Array[] = [];
  for (let offset = 0, left = 1; left > 0; ) {
    const part = await snapshot.read(wish('ima-list', { offset }));
    assert.ok(part.data.length <= 1024 * 1024);
    pieces.push(part.data);
    offset += part.data.length;
    left = part.remaining;
    assert.equal(left, 2_400_000 - offset);
    // What is added meanwhile is for the next snapshot.
    if (pieces.length === 1) await appendFile(imaList, content.subarray(2_400_000));
  }
  assert.equal(pieces.length, 3);
  assert.ok(content.subarray(0, 2_400_000).equals(Buffer.concat(pieces)));
  const added = await measurements.snapshot().read(wish('ima-list', { offset: 2_400_000 }));
  assert.deepEqual(told(added), { state: 'present', offset: 2_400_000, size: 100_000, remaining: 0 });
  assert.ok(content.subarray(2_400_000).equals(added.data));
  const again = await measurements.snapshot().read(wish('ima-list', { offset: 10, maxBytes: 5 }));
  assert.deepEqual(told(again), { state: 'present', offset: 10, size: 5, remaining: 2_499_985 });
});

test('a file of the kernel that says nothing of its size is read from any place', async (t) => {
  const { imaList, measurements } = await lay(t);
  await symlink('/proc/kallsyms', imaList);
  const whole: Uint8Array[] = [];
  const snapshot = measurements.snapshot();
  let size = 0;
  for (;;) {
    const part = await snapshot.read(wish('ima-list', { offset: size, maxBytes: 100_000 }));
    if (part.data.length === 0) {
      assert.equal(part.state, size === 0 ? 'present' : 'unchanged');
      break;
    }
    whole.push(part.data);
    size += part.data.length;
  }
  if (size === 0) return t.skip('this kernel shows no symbols');
  const bytes = Buffer.concat(whole);
  const back = await measurements.snapshot().read(wish('ima-list', { offset: 12_345, maxBytes: 1000 }));
  assert.ok(bytes.subarray(12_345, 13_345).equals(back.data));
  assert.equal(back.remaining, size - 13_345);
  const over = await measurements.snapshot().read(wish('ima-list', { offset: size + 7 }));
  assert.deepEqual(
    [over.state, over.reason],
    ['shorter', `it has ${size} bytes, less than the ${size + 7} that were seen before`],
  );
});

test('a list that is made shorter under the reader is noticed', async (t) => {
  const { imaList, measurements } = await lay(t);
  await writeFile(imaList, randomBytes(1000));
  assert.equal((await measurements.snapshot().read(wish('ima-list'))).data.length, 1000);
  await truncate(imaList, 500);
  assert.equal((await measurements.snapshot().read(wish('ima-list', { offset: 1000 }))).state, 'shorter');
});

test('the list with SHA-1 digests is taken, and one of another bank is not taken for it', async (t) => {
  const { directory, measurements } = await lay(t);
  const path = (bank: string) => join(directory, 'ima', `binary_runtime_measurements_${bank}`);
  await writeFile(path('sha256'), 'other');
  const other = await measurements.snapshot().read(wish('ima-list'));
  assert.equal(other.state, 'unreadable');
  assert.match(
    other.reason,
    /shows binary_runtime_measurements_sha256, and no list with SHA-1 template digests$/,
  );
  await writeFile(path('sha1'), 'this one');
  const part = await measurements.snapshot().read(wish('ima-list'));
  assert.equal(Buffer.from(part.data).toString(), 'this one');
});

test('the count of the kernel follows its list', async (t) => {
  const { imaCount, measurements } = await lay(t);
  assert.equal(await measurements.imaCount(), undefined);
  await writeFile(imaCount, '17\n');
  assert.deepEqual(await Promise.all([measurements.imaCount(), measurements.imaCount()]), [17, 17]);
  await writeFile(imaCount, '18\n');
  assert.equal(await measurements.imaCount(), 18);
  await writeFile(imaCount, 'many\n');
  assert.equal(await measurements.imaCount(), undefined);
});
