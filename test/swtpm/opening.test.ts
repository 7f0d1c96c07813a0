import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { openTpm } from '../../src/host/open-tpm.js';
import { manufactureSwtpm } from '../../src/host/swtpm.js';
import { silentLogger } from '../../src/log.js';

const log = silentLogger();
const directory = mkdtempSync(join(tmpdir(), 'tm-open-'));
after(() => rmSync(directory, { recursive: true, force: true }));

describe('opening a chip that cannot be opened says why in one sentence', () => {
  test('no such device', async () => {
    const path = join(directory, 'tpmrm9');
    await assert.rejects(openTpm({ tcti: `device:${path}`, log }), {
      code: 'tpm_device_missing',
      message: `there is no TPM at ${path}: enable it in the firmware setup or name another device`,
      remedy: 'Enable the TPM in the firmware setup and load its kernel driver; ls /dev/tpmrm0 must show it.',
    });
  });

  test('no permission', (t) => {
    if (process.getuid?.() !== 0) return t.skip('only root can become somebody without permission');
    const path = join(directory, 'tpm');
    writeFileSync(path, '', { mode: 0o600 });
    chmodSync(directory, 0o755);
    const script = `
      process.setgid(65534); process.setgroups([]); process.setuid(65534);
      const { openTpm } = await import(${JSON.stringify(new URL('../../src/host/open-tpm.js', import.meta.url).href)});
      const { silentLogger } = await import(${JSON.stringify(new URL('../../src/log.js', import.meta.url).href)});
      await openTpm({ tcti: 'device:${path}', log: silentLogger() }).catch((error) =>
        process.stdout.write(JSON.stringify([error.code, error.message])));`;
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
    });
    assert.deepEqual(JSON.parse(output), [
      'tpm_permission',
      `this process may not open ${path}: it needs the group that owns it, usually tss`,
    ]);
  });

  test('a name that is no TPM', async () => {
    await assert.rejects(openTpm({ tcti: '/dev/tpmrm0', log }), {
      code: 'tpm_tcti_invalid',
      message: 'the TPM "/dev/tpmrm0" is not written as kind:address',
    });
    await assert.rejects(openTpm({ tcti: 'abacus:x', log }), {
      code: 'tpm_tcti_invalid',
      message: 'tpm2-tss cannot open "abacus:x": install libtss2-tcti-abacus0 or correct the name',
    });
  });

  test('a file that is no device', async () => {
    const path = join(directory, 'plain');
    writeFileSync(path, 'not a chip');
    await assert.rejects(openTpm({ tcti: `device:${path}`, log, timeoutMs: 2000 }), (error: Error) => {
      assert.match(error.message, /^the TPM (at device:|cannot be reached)/);
      return 'code' in error && error.code === 'tpm_unavailable';
    });
  });

  test('a listener that is no chip and never answers', async () => {
    const path = join(directory, 'mute.sock');
    const close = impostor(path, () => {});
    await assert.rejects(openTpm({ tcti: `swtpm:path=${path}`, log, timeoutMs: 200 }), {
      code: 'tpm_timeout',
      message: `the TPM at swtpm:path=${path} did not open within 200 ms`,
    });
    close();
  });

  test('a listener that answers nonsense', async () => {
    const path = join(directory, 'liar.sock');
    const answer = Buffer.alloc(5000, 0xff);
    const close = impostor(path, (socket) => socket.write(answer));
    await assert.rejects(openTpm({ tcti: `swtpm:path=${path}`, log, timeoutMs: 1000 }), (error: Error) => {
      assert.ok('code' in error);
      assert.ok(['tpm_unavailable', 'tpm_timeout', 'tpm_command_failed'].includes(String(error.code)));
      assert.match(error.message, /^the TPM /);
      return true;
    });
    close();
  });

  test('swtpm is not installed', async () => {
    const path = process.env['PATH'];
    process.env['PATH'] = directory;
    try {
      await assert.rejects(manufactureSwtpm({ directory: join(directory, 'chip') }), {
        code: 'swtpm_missing',
        message: 'the program swtpm_setup is not installed: apt install swtpm swtpm-tools',
      });
    } finally {
      process.env['PATH'] = path;
    }
  });
});

/** Listens where a software TPM would; the returned function ends it and every connection to it. */
function impostor(path: string, onData: (socket: Socket) => void): () => void {
  const open: Socket[] = [];
  const servers = [path, `${path}.ctrl`].map((name) =>
    createServer((socket) => {
      open.push(socket);
      socket.on('error', () => {}).on('data', () => onData(socket));
    }).listen(name),
  );
  return () => {
    for (const server of servers) server.close();
    for (const socket of open) socket.destroy();
  };
}
