import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { readCaBundle, readEkAnchors } from '../../../src/server/node-attestors/anchors.js';
import { createEkAuthority } from '../../fakes/ek-authority.js';
import { rejectsCode } from '../../support/rejects-async.js';
import { repoRoot } from '../../support/root.js';

const vendorDir = join(repoRoot(), 'data', 'ek-anchors');

async function inDirectory(
  files: Record<string, string>,
  run: (directory: string) => Promise<void>,
): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'tm-anchors-'));
  try {
    for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
    await run(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

describe('the anchors of endorsement keys', () => {
  it('are the vendors that ship with the server, unless they are switched off', async () => {
    const on = await readEkAnchors({ vendorAnchors: true, anchorPaths: [] }, vendorDir);
    assert.ok(on.anchors.length > 10 && on.intermediates.length > 10);
    const off = await readEkAnchors({ vendorAnchors: false, anchorPaths: [] }, vendorDir);
    assert.deepEqual([off.anchors.length, off.intermediates.length], [0, 0]);
  });

  it('come from files and directories: what has its issuer beside it only leads there', async () => {
    const root = createEkAuthority('Own Root');
    const sub = root.subordinate('Own Sub');
    const lonely = createEkAuthority('Elsewhere').subordinate('Lonely Sub');
    const files = { 'a.pem': root.pem + sub.pem, 'b.crt': lonely.pem, 'notes.txt': 'not read' };
    await inDirectory(files, async (directory) => {
      const set = await readEkAnchors({ vendorAnchors: false, anchorPaths: [directory] }, vendorDir);
      const ders = (list: readonly { der: Uint8Array }[]) =>
        list.map(({ der }) => Buffer.from(der).toString('hex')).sort();
      const expected = [root.der, lonely.der].map((der) => der.toString('hex')).sort();
      assert.deepEqual(ders(set.anchors.map(({ certificate }) => certificate)), expected);
      assert.deepEqual(ders(set.intermediates), [sub.der.toString('hex')]);
      assert.deepEqual(
        [...new Set(set.anchors.map(({ name, sha1 }) => `${name} ${sha1}`))],
        [`${directory} false`],
      );
    });
  });

  it('say which file is wrong', async () => {
    await inDirectory({ 'bad.pem': 'nothing here' }, async (directory) => {
      const read = (path: string) => readEkAnchors({ vendorAnchors: false, anchorPaths: [path] }, vendorDir);
      await rejectsCode(
        'anchors_unreadable',
        /gone\.pem cannot be read: ENOENT/,
        read(join(directory, 'gone.pem')),
      );
      await rejectsCode('anchors_unreadable', /bad\.pem/, read(join(directory, 'bad.pem')));
      await mkdir(join(directory, 'empty'));
      await rejectsCode(
        'anchors_unreadable',
        /^no certificate was found in .*empty$/,
        read(join(directory, 'empty')),
      );
    });
  });

  it('are not read without bound', async () => {
    await inDirectory({ 'huge.pem': 'x'.repeat(8 * 1024 * 1024 + 1) }, async (directory) => {
      const read = readEkAnchors(
        { vendorAnchors: false, anchorPaths: [join(directory, 'huge.pem')] },
        vendorDir,
      );
      await rejectsCode('anchors_unreadable', /has 8388609 bytes; at most 8388608 are read$/, read);
    });
  });
});

describe('the CA bundle of x509pop', () => {
  it('is every certificate of its files', async () => {
    const [one, two] = [createEkAuthority('One'), createEkAuthority('Two')];
    await inDirectory({ 'a.pem': one.pem, 'b.pem': two.pem }, async (directory) => {
      const found = await readCaBundle([join(directory, 'a.pem'), join(directory, 'b.pem')]);
      assert.deepEqual(
        found.map(({ der }) => Buffer.from(der)),
        [one.der, two.der],
      );
    });
  });

  it('is not empty', async () => {
    await rejectsCode('anchors_unreadable', /^no certificate was found in $/, readCaBundle([]));
    await rejectsCode('anchors_unreadable', /cannot be read: ENOENT/, readCaBundle(['/nonexistent.pem']));
  });
});
