import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { readPublished } from '../../../src/cli/server/deny-files.js';
import { program as server } from '../../../src/cli/server/program.js';
import { program } from '../../../src/cli/touchmark/program.js';
import { bundleToPem } from '../../../src/spiffe/bundle-certificates.js';
import { writeBundleDocument } from '../../../src/spiffe/bundle-document.js';
import { parseSpiffeId } from '../../../src/spiffe/id.js';
import { GetPublicationResponseSchema } from '../../../src/wire/gen/touchmark/deny/v1/deny_pb.js';
import { signCrl } from '../../../src/x509/crl.js';
import { writePem } from '../../../src/x509/pem.js';
import { readCertificate } from '../../../src/x509/read-certificate.js';
import { exportSpki } from '../../../src/x509/spki.js';
import { startTestServer } from '../../fakes/test-server.js';
import { host as hostRecord, node as nodeRecord } from '../../server/registry/world.js';
import { type Made, makeIntermediate, makeRoot } from '../../support/der-factory.js';
import { rejectsCode } from '../../support/rejects-async.js';
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
  const ended = `${'ab'.repeat(20)}.crl`;
  for (const name of [ended, 'own.crl', 'all.pem']) file(name, 'old');
  assert.match(
    await operator.good(`deny fetch -dir ${dir}`),
    /deny-feed\.jws, all\.pem, .*\.crl; sequence \d+/,
  );
  assert.deepEqual(
    readdirSync(dir).sort(),
    ['all.pem', 'deny-feed.jws', 'own.crl', `${authority.x509.signer().id}.crl`].sort(),
    'what has ended is gone, what is not ours stays, and nothing half-written is left',
  );
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
  const all = join(dir, 'all.pem');
  assert.equal((await touchmark.json(`inspect crl ${all} -bundle ${anchors}`)).verified, true);
});

test('every list of a file is looked at, and one of an authority below the bundle is verified with the chain', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'tm-crls-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const file = (name: string, content: string) => {
    writeFileSync(join(dir, name), content);
    return join(dir, name);
  };
  const now = Math.floor(Date.now() / 1000);
  const life = { notBefore: now - 60, notAfter: now + 600, keyIds: true };
  const root = makeRoot(life);
  const below = makeIntermediate(root, life);
  const listOf = ({ der, key }: Made) => {
    const { subjectDer, subjectKeyId } = readCertificate(der);
    const template = { number: 1n, thisUpdate: now - 10, nextUpdate: now + 60, entries: [] };
    return writePem(
      'X509 CRL',
      signCrl(template, { key, subjectDer, skid: subjectKeyId ?? new Uint8Array() }),
    );
  };
  const lists = file('all.pem', listOf(root) + listOf(below));
  const bundle = file('bundle.pem', writePem('CERTIFICATE', root.der));
  const chain = file('chain.pem', writePem('CERTIFICATE', below.der));
  const verified = async (more: string) => {
    const { code, stdout } = await touchmark.plain(`inspect crl ${lists} -bundle ${bundle}${more}`);
    return [code, stdout.match(/yes: an authority|NO: its authority .* with -chain/g)?.length];
  };
  assert.deepEqual(await verified(''), [1, 2]);
  assert.deepEqual(await verified(` -chain ${chain}`), [0, 2]);
  const { crls } = await touchmark.json(`inspect crl ${lists}`);
  assert.deepEqual(
    crls.map(({ verified: one }: { verified: unknown }) => one),
    [null, null],
  );
  const stranger = file('stranger.pem', writePem('CERTIFICATE', makeRoot(life).der));
  await touchmark.fails(`inspect crl ${lists} -bundle ${stranger} -chain ${chain}`, 1, /anchor|path|trust/);
});

test('only files of a publication are taken from a server', async () => {
  const answer = async function* (file: string) {
    yield create(GetPublicationResponseSchema, { sequence: 1n, file, data: Buffer.from('x') });
    yield create(GetPublicationResponseSchema, { sequence: 1n, file, data: Buffer.from('y') });
  };
  for (const name of ['../x.crl', 'x.crl', '', 'ab.crl/..', 'deny-feed.jws.crl', 'AB.crl']) {
    await rejectsCode('server_answer_invalid', /the server sent a file/, readPublished(answer(name)));
  }
  const { files, sequence } = await readPublished(answer('ab.crl'));
  assert.deepEqual([String(files.get('ab.crl')), sequence], ['xy', 1n]);
});

test('a publication of the greatest size is fetched', async (t) => {
  const { dir, operator, deny } = await published(t);
  const current = deny.publisher.current();
  const crls = [{ authorityId: 'ab'.repeat(20), der: Buffer.alloc(2_500_000, 1) }];
  t.mock.method(deny.publisher, 'current', () => ({ ...current, feed: 'f'.repeat(4_700_000), crls }));
  await operator.good(`deny fetch -dir ${dir}`);
  assert.equal(readFileSync(join(dir, 'deny-feed.jws')).length, 4_700_000);
  assert.equal(readFileSync(join(dir, `${'ab'.repeat(20)}.crl`)).length, 2_500_000);
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
