import { create } from '@bufbuild/protobuf';
import { systemClock } from '../../src/clock.js';
import { silentLogger } from '../../src/log.js';
import { createRpcServer } from '../../src/rpc/server.js';
import { listenUnix } from '../../src/rpc/unix-listener.js';
import { CountEntriesResponseSchema, Entry } from '../../src/wire/gen/spire/server/entry_pb.js';

/** Serves on descriptor 3, the first that a service manager hands over. Run by unix-listener.test.ts. */
const server = createRpcServer<string>({ clock: systemClock, log: silentLogger() });
server.add(Entry, { countEntries: async () => create(CountEntriesResponseSchema, { count: process.pid }) });
await listenUnix<string>({
  server,
  log: silentLogger(),
  clock: systemClock,
  at: { fd: 3 },
  identify: async () => 'anybody',
  keyOf: (caller) => caller,
});
