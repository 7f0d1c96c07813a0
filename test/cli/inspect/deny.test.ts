import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { program as server } from '../../../src/cli/server/program.js';
import { program } from '../../../src/cli/touchmark/program.js';
import { bundleToPem } from '../../../src/spiffe/bundle-certificates.js';
import { writeBundleDocument } from '../../../src/spiffe/bundle-document.js';
import { parseSpiffeId } from '../../../src/spiffe/id.js';
import { writePem } from '../../../src/x509/pem.js';
import { exportSpki } from '../../../src/x509/spki.js';
import { startTestServer } from '../../fakes/test-server.js';
import { host as hostRecord, node as nodeRecord } from '../../server/registry/world.js';
import { typist } from '../type.js';

const touchmark = typist(program, {});
const spki = exportSpki(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey);

/** A server with one host in quarantine, and what it publishes as files. */
async function published(t: TestContext) {
  const running = await startTestServer();
  t.after(() => running.stop());
  const { store, authority, deny, issuer } = running.context;
  const id = 'ab'.repeat(32);
  const node = parseSpiffeId(`spiffe://example.org/spire/agent/tpm/${id}`);
  await store.commit([
    { kind: 'host', key: id, value: { ...hostRecord(id), name: 'edge-1', state: 'trusted' } },
    {
      kind: 'node',
      key: node,
      value: { ...nodeRecord('x'), id: node, attestationType: 'tpm', hostId: id },
    },
  ]);
  for (let wait = issuer.reserve(node, 'workload', 0, 1); wait; wait = issuer.reserve(node, 'workload', 0, 1))
    await wait;
  issuer.workloadX509({ id: parseSpiffeId('spiffe://example.org/web'), spki, ttl: 0, node });
  const dir = mkdtempSync(join(tmpdir(), 'tm-deny-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const file = (name: string, content: string | Uint8Array) => {
    writeFileSync(join(dir, name), content);
    return join(dir, name);
  };
  const operator = typist(server, { TOUCHMARK_SERVER_SOCKET: running.socketPath });
  return { ...{ dir, file, operator, authority, deny, id, node } };
}

test('operators see whose identities were taken back, and relying parties verify what is published', async (t) => {
  const { dir, file, operator, authority, deny, node } = await published(t);
  assert.match(await operator.good('deny show'), /Nothing is withdrawn/);
  await operator.good('host quarantine edge-1 -reason looks-odd');
  assert.match(await operator.good('deny show'), /edge-1 +withdrawn .*looks-odd/);
  const { withdrawals } = await operator.json('deny show');
  assert.equal(withdrawals[0].withdrawn, true);
  await new Promise<void>((resolve) => deny.publisher.onChange(resolve));
  assert.match(await operator.good(`deny fetch -dir ${dir}`), /deny-feed\.jws.*\.crl; sequence \d+/);
  const document = file('bundle.json', writeBundleDocument(authority.bundle()));
  const feed = await touchmark.json(`inspect deny-feed ${join(dir, 'deny-feed.jws')} -bundle ${document}`);
  assert.deepEqual([feed.verified, feed.nodes[0].id], [true, node]);
  assert.match(
    await touchmark.good(`inspect deny-feed ${join(dir, 'deny-feed.jws')}`),
    /Verified +: no: give/,
  );
  const crl = join(dir, `${authority.x509.signer().id}.crl`);
  const anchors = file('bundle.pem', bundleToPem(authority.bundle()));
  assert.equal((await touchmark.json(`inspect crl ${crl} -bundle ${anchors}`)).verified, true);
});

test('what another trust domain signed does not verify', async (t) => {
  const { dir, file, operator } = await published(t);
  const { authority: stranger } = await published(t);
  await operator.good(`deny fetch -dir ${dir}`);
  const { deny } = await published(t);
  const [own] = deny.publisher.current().crls;
  const anchors = file('other.pem', bundleToPem(stranger.bundle()));
  const crl = file('list.pem', writePem('X509 CRL', own?.der ?? new Uint8Array()));
  const { code, stdout } = await touchmark.plain(`inspect crl ${crl} -bundle ${anchors}`);
  assert.deepEqual([code, /NO: its authority is not in the bundle/.test(stdout)], [1, true]);
  const document = file('other.json', writeBundleDocument(stranger.bundle()));
  await touchmark.fails(
    `inspect deny-feed ${join(dir, 'deny-feed.jws')} -bundle ${document}`,
    1,
    /signed by a key that the bundle has not/,
  );
  await touchmark.fails(`inspect crl ${document}`, 1, /CRL/);
});
