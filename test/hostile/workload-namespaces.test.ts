import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { unixChannel } from '../../src/rpc/channel.js';
import { header, reader, rpcFailure, workloadClient } from '../agent/workloads/support.js';
import { entryOf } from '../support/entries.js';

import { agent, linesOf, needsRoot, started } from './workload-support.js';

describe('pid namespaces', () => {
  test('a caller from a namespace that the agent cannot see into is turned away', async (t) => {
    if (!needsRoot(t)) return;
    const server = join(import.meta.dirname, 'workload-server.js');
    const inner = started(t, 'unshare', [
      '--pid',
      '--fork',
      '--kill-child',
      '--mount-proc',
      process.execPath,
      server,
    ]);
    const { socket, folder: made } = await linesOf(inner)();
    t.after(() => rmSync(String(made), { recursive: true, force: true }));
    // For the agent in there this process has no number.
    const channel = unixChannel(String(socket), { maxBackoffMs: 200 });
    t.after(() => channel.close());
    const { rpc } = await rpcFailure(reader(workloadClient(channel).fetchX509SVID({}, header)).next());
    assert.equal(rpc, 'UNAVAILABLE');
  });

  test('a caller in a namespace below the agent’s is who it is for the agent', async (t) => {
    if (!needsRoot(t)) return;
    const { store, socketPath } = await agent(t);
    store.put(entryOf('a', ['unix:uid:0']));
    const program = join(import.meta.dirname, '..', '..', 'src', 'cli', 'agent', 'program.js');
    const main = `import { main } from ${JSON.stringify(join(program, '../../main.js'))};
import { program } from ${JSON.stringify(program)}; await main(program);`;
    const args = [
      '--input-type=module',
      '-e',
      main,
      '--',
      'touchmark-agent',
      'api',
      'fetch',
      '-socketPath',
      socketPath,
    ];
    const child = started(t, 'unshare', ['--pid', '--fork', process.execPath, ...args]);
    const [code] = await once(child, 'exit');
    assert.equal(code, 0);
  });
});
