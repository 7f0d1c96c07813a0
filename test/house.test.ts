import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { repoRoot } from './support/root.js';

const root = repoRoot();

/** Which room may import which; a room may always import itself. Rooms are folders below src/, `base` is src/*.ts. */
const layers: Readonly<Record<string, readonly string[]>> = {
  errors: [],
  base: ['errors'],
  spiffe: ['base', 'x509'],
  x509: ['base'],
  tpm: ['base', 'spiffe', 'x509'],
  measure: ['base', 'spiffe', 'x509', 'tpm'],
  attest: ['base', 'spiffe', 'x509', 'tpm'],
  wire: ['base', 'spiffe', 'x509', 'attest'],
  config: ['base', 'spiffe'],
  native: ['base'],
  host: ['base', 'spiffe', 'x509', 'tpm', 'measure', 'attest', 'native'],
  rpc: ['base', 'wire'],
  server: ['base', 'spiffe', 'x509', 'tpm', 'measure', 'attest', 'wire', 'config', 'host', 'rpc'],
  agent: ['base', 'spiffe', 'x509', 'tpm', 'measure', 'attest', 'wire', 'config', 'host', 'rpc'],
  cli: [
    'base',
    'spiffe',
    'x509',
    'tpm',
    'measure',
    'attest',
    'wire',
    'config',
    'host',
    'rpc',
    'server',
    'agent',
  ],
};
const pure = ['spiffe', 'x509', 'tpm', 'measure', 'attest', 'wire'];
const impure = /^(node:(fs|net|http2|tls|http|https|dgram|child_process|worker_threads)|koffi|@grpc\/|level)/;
/** Packages that one room, and no other, may import. */
const owners: Readonly<Record<string, readonly string[]>> = {
  koffi: ['native'],
  level: ['server'],
  '@grpc/grpc-js': ['rpc'],
  ajv: ['measure'],
  'smol-toml': ['config'],
  yaml: ['cli'],
};

interface SourceFile {
  readonly path: string;
  readonly room: string;
  readonly text: string;
  readonly imports: readonly string[];
}

function files(folder: string): SourceFile[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.includes('wire/gen/'))
    .map((name) => {
      const path = join(folder, name);
      const text = readFileSync(join(root, path), 'utf8');
      const imports = [...text.matchAll(/^(?:import|export)[^;]*?from '([^']+)'|import\('([^']+)'\)/gm)];
      return { path, room: roomOf(path), text, imports: imports.map((match) => match[1] ?? match[2] ?? '') };
    });
}

function roomOf(path: string): string {
  const parts = path.split('/');
  if (parts[0] !== 'src') return parts[0] ?? '';
  return parts.length === 2 ? 'base' : (parts[1] ?? '');
}

const sources = [...files('src'), ...files('native')];

test('imports run one way', () => {
  const wrong = sources.flatMap(({ path, room, imports }) =>
    imports
      .filter((name) => name.startsWith('.'))
      .map((name) => roomOf(relative(root, join(root, dirname(path), name))))
      .filter((target) => target !== room && !(layers[room] ?? []).includes(target))
      .map((target) => `${path} imports ${target}`),
  );
  assert.deepEqual(wrong, []);
});

test('pure rooms touch no machine and read no clock', () => {
  const wrong = sources
    .filter(({ room }) => pure.includes(room))
    .flatMap(({ path, imports, text }) => [
      ...imports.filter((name) => impure.test(name)).map((name) => `${path} imports ${name}`),
      ...(/\bDate\.now\(\)|new Date\(\)|performance\.now/.test(text) ? [`${path} reads the clock`] : []),
    ]);
  assert.deepEqual(wrong, []);
});

test('each package is imported by its one room', () => {
  const wrong = sources.flatMap(({ path, room, imports }) =>
    imports
      .filter((name) => owners[name] && !owners[name]?.includes(room))
      .map((name) => `${path} imports ${name}`),
  );
  assert.deepEqual(wrong, []);
});

test('every runtime dependency is named in the docs and used', () => {
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  const page = readFileSync(join(root, 'docs', 'dependencies.md'), 'utf8');
  for (const name of Object.keys(dependencies)) {
    assert.ok(page.includes(`\`${name}\``), `docs/dependencies.md does not name ${name}`);
    const used = sources.some(({ imports }) =>
      imports.some((used) => used === name || used.startsWith(`${name}/`)),
    );
    assert.ok(used, `${name} is a runtime dependency that nothing imports`);
  }
});

test('no file grows past 300 lines', () => {
  const long = [...sources, ...files('test'), ...files('bench')]
    .map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
    .filter(({ lines }) => lines > 300);
  assert.deepEqual(long, []);
});
