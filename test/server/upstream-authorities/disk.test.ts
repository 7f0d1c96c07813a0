import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { openUpstreamAuthority } from '../../../src/server/upstream-authorities/upstream-authority-table.js';
import { parseTrustDomain } from '../../../src/spiffe/id.js';
import { verifyChain } from '../../../src/x509/chain.js';
import { buildCsr } from '../../../src/x509/csr.js';
import { generateKey } from '../../../src/x509/keys.js';
import { describeName } from '../../../src/x509/name.js';
import { readCertificate } from '../../../src/x509/read-certificate.js';
import { exportSpki } from '../../../src/x509/spki.js';
import { manualClock } from '../../fakes/manual-clock.js';
import { type Files, makeIntermediate, makeLeaf, makeRoot, writeFiles } from './files.js';

const scratch = await mkdtemp(join(tmpdir(), 'touchmark-upstream-'));
const directory = () => mkdtemp(join(scratch, 'ca-'));
after(() => rm(scratch, { recursive: true, force: true }));

const clock = manualClock();
const now = clock.now() / 1000;
const year = { notBefore: now - 60, notAfter: now + 365 * 86_400 };
const deps = { trustDomain: parseTrustDomain('example.org'), subject: { organization: 'Smithy' }, clock };
const open = (files: Files) => openUpstreamAuthority({ type: 'disk', ...files }, deps);

async function request(uris = ['spiffe://example.org']) {
  const key = await generateKey('ec-p256');
  return { key, csr: buildCsr({ key, uris }) };
}

describe('the upstream authority disk', () => {
  test('a root signs an intermediate, and is itself published', async () => {
    const root = await makeRoot('root', year);
    const upstream = await open(
      await writeFiles(await directory(), { chain: [root.certificate], key: root.key }),
    );
    const { key, csr } = await request();
    const { chain, roots } = await upstream.mintCa(csr, 3600);
    assert.deepEqual(
      roots.map((der) => Buffer.from(der)),
      [Buffer.from(root.certificate)],
    );
    assert.equal(chain.length, 1);
    const minted = readCertificate(chain[0] ?? new Uint8Array());
    assert.deepEqual(Buffer.from(minted.spki), exportSpki(key));
    assert.deepEqual(minted.uris, ['spiffe://example.org']);
    assert.equal(minted.authority, true);
    assert.equal(minted.notBefore, now - 10);
    assert.equal(minted.notAfter, now + 3600);
    assert.match(describeName(minted.subjectDer), /^O=Smithy, serialNumber=\d+$/);
    assert.equal(verifyChain(minted, [], [readCertificate(root.certificate)], { now }).length, 2);
  });

  test('an intermediate signs under roots of a bundle, and the chain has everything but the root', async () => {
    const root = await makeRoot('root', year);
    const other = await makeRoot('other', year);
    const middle = await makeIntermediate('middle', root, year);
    const upstream = await open(
      await writeFiles(await directory(), {
        chain: [middle.certificate],
        key: middle.key,
        roots: [root.certificate, other.certificate],
      }),
    );
    const { chain, roots } = await upstream.mintCa((await request()).csr, 3600);
    assert.equal(chain.length, 2);
    assert.equal(roots.length, 2);
    const [minted, ...above] = chain.map(readCertificate);
    assert.ok(minted);
    assert.equal(verifyChain(minted, above, roots.map(readCertificate), { now }).length, 3);
  });

  test('a root that stands in its own bundle is not repeated in the chain', async () => {
    const root = await makeRoot('root', year);
    const content = { chain: [root.certificate], key: root.key, roots: [root.certificate] };
    const upstream = await open(await writeFiles(await directory(), content));
    assert.equal((await upstream.mintCa((await request()).csr, 3600)).chain.length, 1);
  });

  test('an intermediate never ends later than what signs it', async () => {
    const root = await makeRoot('root', { ...year, notAfter: now + 100 });
    const upstream = await open(
      await writeFiles(await directory(), { chain: [root.certificate], key: root.key }),
    );
    const { chain } = await upstream.mintCa((await request()).csr, 3600);
    assert.equal(readCertificate(chain[0] ?? new Uint8Array()).notAfter, now + 100);
  });

  test('files that were replaced are taken up at the next signing', async () => {
    const where = await directory();
    const first = await makeRoot('first', year);
    const second = await makeRoot('second', year);
    const upstream = await open(await writeFiles(where, { chain: [first.certificate], key: first.key }));
    await writeFiles(where, { chain: [second.certificate], key: second.key });
    const { roots } = await upstream.mintCa((await request()).csr, 3600);
    assert.deepEqual(Buffer.from(roots[0] ?? []), Buffer.from(second.certificate));
  });

  test('a request for another name, or a damaged one, is refused', async () => {
    const root = await makeRoot('root', year);
    const upstream = await open(
      await writeFiles(await directory(), { chain: [root.certificate], key: root.key }),
    );
    for (const uris of [
      [],
      ['spiffe://example.org/path'],
      ['spiffe://other.org'],
      ['spiffe://example.org', 'spiffe://example.org'],
    ]) {
      await assert.rejects(upstream.mintCa((await request(uris)).csr, 3600), {
        code: 'csr_invalid',
        message: 'the signing request of an intermediate must name spiffe://example.org alone',
      });
    }
    await assert.rejects(upstream.mintCa(Buffer.from('00', 'hex'), 3600), { code: 'csr_invalid' });
  });
});

describe('the upstream authority disk refuses at the start', () => {
  async function refused(files: Files, message: RegExp): Promise<void> {
    await assert.rejects(open(files), { code: 'upstream_authority_invalid', message });
  }

  test('a key that is not that of the certificate', async () => {
    const root = await makeRoot('root', year);
    const key = await generateKey('ec-p256');
    const files = await writeFiles(await directory(), { chain: [root.certificate], key });
    await refused(
      files,
      /ca\.pem of the upstream authority: the signing key is not the key of its certificate$/,
    );
  });

  test('a certificate that is not one of an authority', async () => {
    const root = await makeRoot('root', year);
    const leaf = await makeLeaf(root, year);
    const content = { chain: [leaf.certificate], key: leaf.key, roots: [root.certificate] };
    await refused(
      await writeFiles(await directory(), content),
      /the certificate is not one of an authority$/,
    );
  });

  test('a certificate that has ended', async () => {
    const root = await makeRoot('root', { notBefore: now - 100, notAfter: now - 1 });
    const files = await writeFiles(await directory(), { chain: [root.certificate], key: root.key });
    await refused(files, /the certificate has ended$/);
  });

  test('a certificate that does not lead to the bundle', async () => {
    const root = await makeRoot('root', year);
    const middle = await makeIntermediate('middle', root, year);
    const stranger = await makeRoot('stranger', year);
    const content = { chain: [middle.certificate], key: middle.key, roots: [stranger.certificate] };
    await refused(
      await writeFiles(await directory(), content),
      /no authority of the bundle signed the chain/,
    );
  });

  test('an intermediate without a bundle', async () => {
    const middle = await makeIntermediate('middle', await makeRoot('root', year), year);
    const files = await writeFiles(await directory(), { chain: [middle.certificate], key: middle.key });
    await refused(files, /ca\.pem of the upstream authority: /);
  });

  test('files that are missing, empty or something else', async () => {
    const root = await makeRoot('root', year);
    const files = await writeFiles(await directory(), { chain: [root.certificate], key: root.key });
    await refused(
      { ...files, certFile: join(scratch, 'none.pem') },
      /none\.pem of the upstream authority: ENOENT/,
    );
    await refused(
      { ...files, bundleFile: files.keyFile },
      /holds a block "PRIVATE KEY" where certificates belong$/,
    );
    await writeFile(files.certFile, '');
    await refused(
      files,
      /ca\.pem of the upstream authority: the PEM text is not valid: it holds no certificate$/,
    );
  });

  test('a key file without a key, and says nothing of its content', async () => {
    const root = await makeRoot('root', year);
    const files = await writeFiles(await directory(), { chain: [root.certificate], key: root.key });
    await writeFile(files.keyFile, '-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n');
    await assert.rejects(open(files), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'upstream_authority_invalid');
      assert.match(error.message, /ca-key\.pem of the upstream authority: it holds no private key in PEM$/);
      assert.equal(error.cause, undefined);
      return true;
    });
  });

  test('a key file that every user can read', async () => {
    const root = await makeRoot('root', year);
    const files = await writeFiles(await directory(), { chain: [root.certificate], key: root.key });
    await chmod(files.keyFile, 0o604);
    await assert.rejects(open(files), {
      code: 'key_file_permissions',
      message: `the key file ${files.keyFile} can be read by every user`,
    });
  });
});
