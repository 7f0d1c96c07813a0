import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ErrorCode } from '../../../src/error-table.js';
import { compilePolicy } from '../../../src/measure/appraise/compile.js';
import { checkManifest, examineManifest } from '../../../src/measure/policy/check.js';
import { resolved } from '../../support/appraisal-factory.js';
import { digestOf, groupManifest, policyManifest, setManifest } from '../../support/policy-manifests.js';
import { throwsCode } from '../../support/rejects.js';

function refused(manifest: unknown, message: RegExp, code: ErrorCode = 'manifest_invalid'): void {
  throwsCode(code, message, () => checkManifest(manifest));
}

test('a file signer may be a public key, never a private one', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string;
  assert.equal(checkManifest(setManifest({ fileSigners: [pem] })).kind, 'ReferenceSet');
  const secret = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  refused(
    setManifest({ fileSigners: [secret] }),
    /fileSigners\[0\]: holds a private key; give the certificate/,
  );
});

test('windows of time must be some, on the calendar, and apart', () => {
  const at = (from: string, until: string) => ({
    from: `2026-${from}T00:00:00Z`,
    until: `2026-${until}T00:00:00Z`,
  });
  const maintenance = (...windows: object[]) => groupManifest({ maintenance: windows });
  refused(
    maintenance(at('02-30', '03-05')),
    /maintenance\[0\]\.from: "2026-02-30T00:00:00Z" is on no calendar/,
  );
  refused(maintenance(at('03-05', '03-05')), /maintenance\[0\]: ends before it begins/);
  refused(maintenance(at('03-05', '03-04')), /maintenance\[0\]: ends before it begins/);
  refused(
    maintenance(at('03-05', '03-08'), at('03-01', '03-06')),
    /maintenance\[1\]: overlaps maintenance\[0\]; write one window/,
  );
  refused(
    maintenance({ from: '2026-03-05', until: '2026-03-06' }),
    /"2026-03-05" is not a time with its zone/,
  );
  assert.equal(checkManifest(maintenance(at('03-05', '03-06'), at('03-06', '03-07'))).kind, 'HostGroup');
  const next = { ...at('03-05', '03-04'), references: ['uki'] };
  refused(policyManifest({ acceptNext: [next] }), /acceptNext\[0\]: ends before it begins/);
});

test('what the checker accepts can be used, however its patterns grow when they are made ready', () => {
  const glob = fc
    .array(fc.constantFrom('*', '**', '?', 'a', '=', '-', '/', '"', ' ', 'init', '*a'), { minLength: 1 })
    .map((parts) => parts.join('').slice(0, 1024));
  const some = fc.uniqueArray(glob, { maxLength: 3 });
  const use = (manifest: Record<string, unknown>) => {
    const examined = examineManifest(manifest);
    if ('problems' in examined) return;
    assert.ok(examined.object.kind === 'MeasurementPolicy');
    const { commandLines, files, userspace } = compilePolicy(resolved(examined.object), '');
    commandLines.accepts('a b');
    files.accepts({ of: 'file', algorithm: 'sha256', digest: Buffer.alloc(32) }, '/a');
    userspace.acceptsText('a', 15);
  };
  fc.assert(
    fc.property(some, some, some, some, (accept, require, forbid, exclude) => {
      const runtime = { rules: { policies: [digestOf(1)] }, exclude };
      use(policyManifest({ commandLine: { accept, require, forbid }, userspace: { accept }, runtime }));
    }),
    { numRuns: 2_000, seed: 4 },
  );
  use(policyManifest({ commandLine: { forbid: ['*a'.repeat(400)], accept: ['*a'.repeat(512)] } }));
});

test('files may be told by patterns with stars, but not by any number of them', () => {
  const files = Array.from({ length: 300 }, (_, at) => ({
    digest: digestOf(at % 256),
    path: `/${at}${'a'.repeat(950)}*`,
  }));
  const message = /patterns with stars have \d+ characters; at most 262144: write paths/;
  refused(setManifest({ files }), message, 'glob_invalid');
  refused(
    policyManifest({ runtime: { accept: files, rules: { policies: [digestOf(1)] } } }),
    message,
    'glob_invalid',
  );
  const names = files.map((file) => ({ ...file, path: file.path.replace('*', '?') }));
  assert.equal(checkManifest(setManifest({ files: names })).kind, 'ReferenceSet');
});

test('what is wrong with the parts of the right shape is told together with the shape of the others', () => {
  const maintenance = [{ from: '2026-02-30T00:00:00Z', until: '2026-03-05T00:00:00Z' }];
  const group = groupManifest({ priority: 'high', maintenance, labels: { site: '***' } });
  refused(
    group,
    /priority: must be a whole number.*maintenance\[0\]\.from: .* is on no calendar; labels\.site: /,
  );
  const policy = policyManifest({
    mode: 'x',
    userspace: { accept: ['***'] },
    runtime: { exclude: ['***', 1] },
  });
  refused(
    policy,
    /^[^;]*mode: must be[^;]*; runtime\.exclude\[1\]: must be[^;]*; userspace\.accept\[0\]: pattern[^;]*$/,
  );
  refused(
    setManifest({ includes: 1, files: [{ digest: digestOf(1), path: '***' }] }),
    /includes.*; files\[0\]\.path/,
  );
});

test('what looks like a regular expression is a glob like any other', () => {
  const exclude = ['/(a+)+$', '/[', '/\\'];
  const policy = checkManifest(policyManifest({ runtime: { rules: { policies: [digestOf(1)] }, exclude } }));
  assert.ok(policy.kind === 'MeasurementPolicy');
  assert.deepEqual(policy.runtime?.exclude, exclude);
  const long = { rules: { policies: [digestOf(1)] }, exclude: ['/a***'] };
  refused(
    policyManifest({ runtime: long }),
    /runtime\.exclude\[0\]: pattern .* more than two stars/,
    'glob_invalid',
  );
});
