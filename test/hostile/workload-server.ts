/** The agent's public socket with one entry for everybody of this user, for tests that need it in a process of its own. */

import { mine, serveForTest } from '../agent/workloads/support.js';
import { entryOf } from '../support/entries.js';

const served = await serveForTest({ after: () => {} } as never);
served.store.serve();
served.store.put(entryOf('a', [mine]));
process.stdout.write(`${JSON.stringify({ socket: served.socketPath, folder: served.folder })}\n`);
