import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runProgram } from '../../src/cli/run.js';
import { program } from '../../src/cli/server/program.js';

test('a verb that waits for a server that never answers ends with the signal', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'tm-mute-'));
  const sockets: Socket[] = [];
  const mute = createServer((socket) => void sockets.push(socket)).listen(join(directory, 's'));
  await once(mute, 'listening');
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    mute.close();
    await rm(directory, { recursive: true });
  });
  const abort = new AbortController();
  let stderr = '';
  const ended = runProgram(program, ['entry', 'count', '-socketPath', join(directory, 's')], {
    stdout: () => {},
    stderr: (text) => {
      stderr += text;
    },
    environment: {},
    version: '1',
    signal: abort.signal,
    readStdin: async () => '',
  });
  await once(mute, 'connection');
  abort.abort();
  assert.equal(await ended, 1);
  assert.match(stderr, /^touchmark-server entry count: .+\n/);
});
