/**
 * A process that is made to be killed: writes batches to a datastore as fast as it can and says on standard output which
 * were acknowledged. `node store-writer.js DIRECTORY`. Each batch puts one number under four keys, and counts.
 */
import { writeSync } from 'node:fs';
import type { Write } from '../../src/server/datastores/contract.js';
import { openLevelDatastore } from '../../src/server/datastores/level.js';

export const PARTS = 4;
const LANES = 3;

export function batchOf(lane: number, n: number): Write[] {
  const filler = 'x'.repeat((n * 37) % 3000);
  const parts = Array.from(
    { length: PARTS },
    (_, part): Write => ({
      kind: 'meta',
      key: `lane${lane}-part${part}`,
      value: { value: `${n} ${filler}` },
    }),
  );
  return [...parts, { kind: 'meta', key: `lane${lane}-log-${n % 50}`, value: { value: String(n) } }];
}

async function lane(store: Awaited<ReturnType<typeof openLevelDatastore>>, number: number): Promise<never> {
  const held = await store.get('meta', `lane${number}-part0`);
  for (let n = Number.parseInt(held?.value.value ?? '0', 10) + 1; ; n += 1) {
    const revision = await store.commit(batchOf(number, n));
    // Synchronous: once this returns, the parent has it, whatever happens to this process.
    writeSync(1, `${number} ${n} ${revision}\n`);
  }
}

const directory = process.argv[2];
if (directory !== undefined && import.meta.filename === process.argv[1]) {
  const store = await openLevelDatastore(directory);
  writeSync(1, `open ${store.revision} ${store.epoch}\n`);
  await Promise.all(Array.from({ length: LANES }, (_, number) => lane(store, number)));
}
