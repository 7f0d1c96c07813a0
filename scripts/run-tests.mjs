// Runs one suite of compiled tests: `node scripts/run-tests.mjs unit [name-filter]`.
// The unit suite mirrors src/; every other folder below test/ is a suite of its own, slower and on real parts.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..', 'dist', 'test');
const suites = ['swtpm', 'hostile', 'interop', 'e2e', 'vm'];
const helpers = ['fakes', 'vectors', 'support'];
const [suite = 'unit', filter = ''] = process.argv.slice(2);

function collect(dir) {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name);
    if (!entry.isDirectory()) return entry.name.endsWith('.test.js') ? [path] : [];
    const skipped = dir === root && [...suites, ...helpers].includes(entry.name);
    return skipped ? [] : collect(path);
  });
}

const files = collect(suite === 'unit' ? root : join(root, suite)).filter((path) => path.includes(filter));
if (files.length === 0) {
  process.stderr.write(`no test file in suite "${suite}" matches "${filter}"; build first: npm run build\n`);
  process.exit(1);
}
// Slow suites share chips and sockets, so their files run one by one; unit tests wait more than they compute.
const concurrency = `--test-concurrency=${suite === 'unit' ? availableParallelism() + 1 : 1}`;
// A file that hangs is a failure, not a night without a result. Emulated machines and hundreds of kills take their time.
const longest = { vm: 1_800_000, hostile: 600_000 }[suite] ?? 300_000;
const timeout = `--test-timeout=${longest}`;
const run = spawnSync(process.execPath, ['--test', timeout, concurrency, ...files], {
  stdio: 'inherit',
});
process.exit(run.status ?? 1);
