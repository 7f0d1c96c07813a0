// Finding the entries of a workload among many: node dist/bench/matching.js [entries]
import { indexEntries, matchEntries, nearEntries } from '../src/spiffe/matching.js';
import { parseSelector } from '../src/spiffe/selector.js';
import { entryOf } from '../test/support/entries.js';

const count = Number(process.argv[2] ?? 10_000);
const entries = Array.from({ length: count }, (_, n) =>
  entryOf(`e${n}`, [`unix:uid:${n % 100}`, `systemd:id:service-${n}.service`, 'unix:group:services']),
);
const workload = [
  'unix:uid:42',
  'unix:gid:42',
  'unix:group:services',
  'unix:path:/usr/bin/service',
  `systemd:id:service-${count - 58}.service`,
].map(parseSelector);

function time(what: string, times: number, task: () => unknown): void {
  task();
  const begin = process.hrtime.bigint();
  for (let i = 0; i < times; i++) task();
  const microseconds = Number(process.hrtime.bigint() - begin) / 1000 / times;
  process.stdout.write(`${what}: ${microseconds.toFixed(1)} us\n`);
}

const index = indexEntries(entries);
process.stdout.write(`${count} entries, ${matchEntries(index, workload).length} match\n`);
time('build the index', 3, () => indexEntries(entries));
time('match a workload', 20_000, () => matchEntries(index, workload));
time('find the nearest five (explain)', 5, () => nearEntries(index, workload));
