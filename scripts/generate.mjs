#!/usr/bin/env node
// Generates src/wire/gen from proto/ with the tools in node_modules: nothing is downloaded.
// With --check it generates into a temporary directory and fails if the committed code differs.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const committed = join(root, 'src/wire/gen');
const bin = (name) => join(root, 'node_modules/.bin', name);

function generate(out) {
  const template = {
    version: 'v2',
    plugins: [
      { local: bin('protoc-gen-es'), out, opt: ['target=ts', 'import_extension=js', 'erasable_syntax=true'] },
    ],
  };
  rmSync(out, { recursive: true, force: true });
  execFileSync(bin('buf'), ['generate', 'proto', '--template', JSON.stringify(template)], {
    cwd: root,
    stdio: 'inherit',
  });
}

function filesOf(folder) {
  return new Map(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((file) => file.isFile())
      .map((file) => join(file.parentPath ?? file.path, file.name))
      .map((path) => [relative(folder, path), readFileSync(path, 'utf8')]),
  );
}

function differences(expected, found) {
  return [...new Set([...expected.keys(), ...found.keys()])]
    .sort()
    .filter((name) => expected.get(name) !== found.get(name));
}

if (process.argv.includes('--check')) {
  const fresh = mkdtempSync(join(tmpdir(), 'touchmark-generate-'));
  try {
    generate(join(fresh, 'gen'));
    const stale = differences(filesOf(join(fresh, 'gen')), filesOf(committed));
    for (const name of stale) process.stderr.write(`src/wire/gen/${name} is not what proto/ gives\n`);
    if (stale.length > 0) process.stderr.write('run: npm run generate\n');
    process.exitCode = stale.length > 0 ? 1 : 0;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
} else {
  generate(committed);
}
