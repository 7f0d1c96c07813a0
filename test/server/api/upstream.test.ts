import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { verifyX509Svid } from '../../../src/spiffe/x509-svid.js';
import { Entry } from '../../../src/wire/gen/spire/server/entry_pb.js';
import { LocalAuthority } from '../../../src/wire/gen/spire/server/localauthority_pb.js';
import { SVID } from '../../../src/wire/gen/spire/server/svid_pb.js';
import { buildCsr } from '../../../src/x509/csr.js';
import { writePem } from '../../../src/x509/pem.js';
import { newKey } from '../../fakes/test-server.js';
import { makeRoot } from '../../support/der-factory.js';
import { entry, stage } from './support.js';

test('below an upstream authority agents connect with their chain, and the root alone is published', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'tm-upstream-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const root = makeRoot({ notAfter: 4_000_000_000 });
  const [certFile, keyFile] = [join(directory, 'ca.pem'), join(directory, 'ca.key')];
  await writeFile(certFile, writePem('CERTIFICATE', root.der));
  await writeFile(keyFile, root.key.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
  const on = await stage(t, {
    config: { upstreamAuthority: { type: 'disk', certFile, keyFile, bundleFile: '' } },
  });
  const agent = await on.agent();
  assert.equal(agent.chain.length, 2, 'leaf and our intermediate');
  const [entryId = ''] = await on.entries(entry('/w', agent.id));
  assert.equal((await on.as(agent, Entry).getAuthorizedEntries({})).entries.length, 1);
  const csr = buildCsr({ key: newKey() });
  const { results } = await on.as(agent, SVID).batchNewX509SVID({ params: [{ entryId, csr }] });
  const bundle = on.server.context.authority.bundle();
  assert.deepEqual(
    bundle.x509Authorities.map(({ der }) => Buffer.from(der).equals(root.der)),
    [true],
  );
  const svid = verifyX509Svid(results[0]?.svid?.certChain ?? [], bundle, Math.floor(Date.now() / 1000));
  assert.equal(svid.id, 'spiffe://example.org/w');
  const state = await on.operator(LocalAuthority).getX509AuthorityState({});
  assert.match(state.active?.upstreamAuthoritySubjectKeyId ?? '', /^[0-9a-f]{40}$/);
});
