import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { lastErrno, memory, openLibrary } from '../../native/library.js';
import { marshal, unmarshal } from '../../native/tss2-mu.js';
import { describeResponseCode } from '../../native/tss2-rc.js';

const hex = (text: string) => Buffer.from(text, 'hex');

describe('native libraries', () => {
  test('a missing library names its package', () => {
    assert.throws(() => openLibrary('libtss2-nowhere.so.0', 'int', {}, 'libtss2-nowhere0'), {
      code: 'native_library_missing',
      message: 'the library libtss2-nowhere.so.0 cannot be loaded: install libtss2-nowhere0',
      remedy: 'Install the named package: apt install libtss2-esys-3.0.2-0 libtss2-mu0 libtss2-tctildr0.',
    });
  });

  test('calls cross now and later, and errno is there after a call', async () => {
    const libc = openLibrary(
      'libc.so.6',
      'int',
      { abs: ['i32'], close: ['i32'], usleep: ['u32'] } as const,
      'libc6',
    );
    assert.equal(libc.now('abs', -7), 7);
    assert.equal(await libc.later('abs', -8), 8);
    assert.equal(libc.now('close', -1), -1);
    assert.equal(lastErrno(), 9);
    let ticks = 0;
    const ticker = setInterval(() => {
      ticks += 1;
    }, 5);
    await libc.later('usleep', 60_000);
    clearInterval(ticker);
    assert.ok(ticks >= 5, `the loop ticked ${ticks} times`);
  });

  test('memory for C is zeroed and never on the heap of V8', () => {
    assert.ok(memory(1).length >= 128);
    assert.ok(memory(1000).every((byte) => byte === 0));
  });

  test('a process that loads the host layer without opening a chip has not loaded tpm2-tss', () => {
    const url = new URL('../../src/host/open-tpm.js', import.meta.url).href;
    const script = `await import(${JSON.stringify(url)}); process.stdout.write(
      (await import('node:fs')).readFileSync('/proc/self/maps', 'utf8').includes('libtss2') ? 'loaded' : 'clean');`;
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
    });
    assert.equal(output, 'clean');
  });
});

describe('marshalling through tpm2-tss', () => {
  test('structures come back as the bytes they were made from', () => {
    const cases = [
      ['TPM2B_DIGEST', hex('0003010203')],
      ['TPM2B_DATA', hex('0000')],
      ['TPML_PCR_SELECTION', hex('00000001000b03070080')],
      ['TPMT_SYM_DEF', hex('000600800043')],
      ['TPMT_SIG_SCHEME', hex('0018000b')],
      ['TPML_DIGEST', hex('0000000200010a00020b0c')],
    ] as const;
    for (const [type, bytes] of cases) {
      assert.deepEqual(Buffer.from(marshal(type, unmarshal(type, bytes))), bytes, type);
    }
  });

  test('bytes that are too short, too long or too large are refused', () => {
    assert.throws(
      () => unmarshal('TPM2B_DIGEST', hex('0005aabb')),
      /^Error: these bytes are not a TPM2B_DIGEST \(0x/,
    );
    assert.throws(() => unmarshal('TPM2B_DIGEST', hex('0001aabb')), {
      message: 'bytes follow after a TPM2B_DIGEST',
    });
    const large = Buffer.concat([hex('ffff'), Buffer.alloc(0xffff)]);
    assert.throws(() => unmarshal('TPM2B_DIGEST', large), /^Error: these bytes are not a TPM2B_DIGEST \(0x/);
    assert.throws(
      () => unmarshal('TPML_DIGEST', hex('ffffffff')),
      /^Error: these bytes are not a TPML_DIGEST/,
    );
  });

  test('a structure whose size lies is not copied', () => {
    const structure = memory(4096);
    structure.writeUInt16LE(0xffff, 0);
    assert.throws(
      () => marshal('TPM2B_DIGEST', structure),
      /^Error: a TPM2B_DIGEST of the TPM library cannot be read \(0x/,
    );
  });

  test('response codes are put into words', () => {
    assert.equal(describeResponseCode(0x1df), '0x1df, tpm:parameter(1):integrity check failed');
    assert.match(describeResponseCode(0x921), /^0x921, .*lockout/i);
  });
});
