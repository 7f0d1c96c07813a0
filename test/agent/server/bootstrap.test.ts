import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import test from 'node:test';
import { type BootstrapDeps, loadTrust } from '../../../src/agent/server/bootstrap.js';
import { createLogger } from '../../../src/log.js';
import { bundleToPem } from '../../../src/spiffe/bundle-certificates.js';
import { writeBundleDocument } from '../../../src/spiffe/bundle-document.js';
import { parseTrustDomain } from '../../../src/spiffe/id.js';
import { exportSpki } from '../../../src/x509/spki.js';
import { manualClock } from '../../fakes/manual-clock.js';
import { signingAuthority } from '../../fakes/signing-authority.js';
import { throwsCode } from '../../support/rejects.js';

const clock = manualClock();
const now = clock.now() / 1000;
const keptAt = '/data/bundle.json';

function world(change: Partial<BootstrapDeps> = {}) {
  const files = new Map<string, string>();
  const lines: string[] = [];
  const sink = {
    format: 'json' as const,
    write: (line: string) => void lines.push(line),
    clock,
    journal: false,
  };
  const deps: BootstrapDeps = {
    trustDomain: parseTrustDomain('example.org'),
    dataDir: '/data',
    trustBundleFile: '/etc/bundle',
    insecureBootstrap: false,
    log: createLogger(sink),
    readFile: async (path) => (files.has(path) ? Buffer.from(files.get(path) ?? '') : undefined),
    writeFile: async (path, content) => void files.set(path, content),
    ...change,
  };
  return { files, lines, deps };
}

const serverKey = exportSpki(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
const serverId = 'spiffe://example.org/spire/server';

test('the first contact is judged by the configured file, PEM or document', async () => {
  const authority = signingAuthority(clock);
  for (const write of [bundleToPem, writeBundleDocument]) {
    const { files, deps } = world();
    files.set('/etc/bundle', write(authority.bundle()));
    const trust = await loadTrust(deps);
    trust.verifyServer(authority.x509For(serverKey, serverId, 60), now);
    throwsCode('server_untrusted', /^the server is spiffe:\/\/example.org\/workload instead of spiffe:/, () =>
      trust.verifyServer(authority.x509For(serverKey, 'spiffe://example.org/workload', 60), now),
    );
    const stranger = signingAuthority(clock);
    throwsCode('server_untrusted', /could not be recognised as .*no authority of the bundle signed/, () =>
      trust.verifyServer(stranger.x509For(serverKey, serverId, 60), now),
    );
    throwsCode('server_untrusted', /could not be recognised as .*expired/, () =>
      trust.verifyServer(authority.x509For(serverKey, serverId, 60), now + 61),
    );
    throwsCode('server_untrusted', /there is no certificate/, () => trust.verifyServer([], now));
  }
});

test('the newest bundle is kept and goes before the file it began with', async () => {
  const authority = signingAuthority(clock);
  const { files, deps } = world();
  files.set('/etc/bundle', bundleToPem(authority.bundle()));
  const first = await loadTrust(deps);
  authority.rotate();
  authority.removeOld();
  first.update(authority.bundle());
  await first.flushed();
  const second = await loadTrust(deps);
  second.verifyServer(authority.x509For(serverKey, serverId, 60), now);
  assert.equal(second.bundle?.sequence, 3n);
});

test('an operator who puts another file there begins anew', async () => {
  const before = signingAuthority(clock);
  const after = signingAuthority(clock);
  const { files, deps } = world();
  files.set('/etc/bundle', bundleToPem(before.bundle()));
  const first = await loadTrust(deps);
  before.rotate();
  first.update(before.bundle());
  await first.flushed();
  files.set('/etc/bundle', bundleToPem(after.bundle()));
  const second = await loadTrust(deps);
  second.verifyServer(after.x509For(serverKey, serverId, 60), now);
  throwsCode('server_untrusted', /could not be recognised/, () =>
    second.verifyServer(before.x509For(serverKey, serverId, 60), now),
  );
});

test('a damaged or foreign kept bundle is told and passed over', async () => {
  const authority = signingAuthority(clock);
  for (const content of ['{', JSON.stringify({ trustDomain: 'other.org', bootstrap: '', document: '{}' })]) {
    const { files, lines, deps } = world();
    files.set('/etc/bundle', bundleToPem(authority.bundle()));
    files.set(keptAt, content);
    const trust = await loadTrust(deps);
    trust.verifyServer(authority.x509For(serverKey, serverId, 60), now);
    assert.match(lines.join(), /the bundle kept by the last run is not usable/);
  }
});

test('a bundle of another domain or without authorities never takes the place of the own one', async () => {
  const authority = signingAuthority(clock);
  const { files, deps } = world();
  files.set('/etc/bundle', bundleToPem(authority.bundle()));
  const trust = await loadTrust(deps);
  throwsCode(
    'server_answer_invalid',
    /^the server sent a bundle of example.org with 0 X.509 authorities$/,
    () => trust.update({ ...authority.bundle(), x509Authorities: [] }),
  );
  throwsCode(
    'server_answer_invalid',
    /^the server sent a bundle of other.org with 1 X.509 authorities$/,
    () => trust.update({ ...authority.bundle(), trustDomain: parseTrustDomain('other.org') }),
  );
});

test('a disk that refuses does not stop the agent, and is told', async () => {
  const authority = signingAuthority(clock);
  const { files, lines, deps } = world({ writeFile: () => Promise.reject(new Error('no space left')) });
  files.set('/etc/bundle', bundleToPem(authority.bundle()));
  const trust = await loadTrust(deps);
  authority.rotate();
  trust.update(authority.bundle());
  await trust.flushed();
  assert.equal(trust.bundle?.x509Authorities.length, 2);
  assert.match(lines.join(), /could not be kept for the next start.*no space left/);
});

test('before an insecure first contact only the name counts', async () => {
  const { deps } = world({ trustBundleFile: '', insecureBootstrap: true });
  const trust = await loadTrust(deps);
  trust.verifyServer(signingAuthority(clock).x509For(serverKey, serverId, 60), now);
  throwsCode('server_untrusted', /^the server is spiffe:\/\/example.org\/other instead of/, () =>
    trust.verifyServer(signingAuthority(clock).x509For(serverKey, 'spiffe://example.org/other', 60), now),
  );
});
