import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { mine } from '../agent/workloads/support.js';
import { until } from '../fakes/manual-clock.js';
import { haveSwtpm } from '../support/swtpm.js';
import { begin, group, known, policy, yaml } from './measured-world.js';

/** The page of a real server, as a browser on the same machine gets it. */
function page(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request({ socketPath, path }, (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (chunk) => {
        body += chunk;
      });
      answer.on('end', () => resolve(body));
    })
      .on('error', reject)
      .end();
  });
}

test('an identity for a measured binary is signed once the kernel measured it, and not before', async (t) => {
  if (!(await haveSwtpm(t))) return;
  const pageSocket = join(tmpdir(), `tm-page-${process.pid}.sock`);
  const binary = { verity: false, sizeLimit: 1 << 28 };
  const { host, agent, operator, stream, parentID, hostId } = await begin(t, {
    server: { page: { kind: 'unix', path: pageSocket } },
    workloadAttestors: { unix: { path: false, sha256: false, sizeLimit: 1 }, binary },
  });
  const program = await readFile('/proc/self/exe');
  const digest = createHash('sha256').update(program).digest('hex');
  await operator.fails(
    `entry create -parentID ${parentID} -spiffeID spiffe://example.org/m -selector binary:measured:true`,
    1,
    /without the binary:sha256 that it is about/,
  );
  await operator.good(
    `entry create -parentID ${parentID} -spiffeID spiffe://example.org/measured -selector ${mine} ` +
      `-selector binary:sha256:${digest} -selector binary:measured:true`,
  );
  await until('the entry is here', () =>
    [...agent.store.entries().values()].some(({ spiffeId }) => spiffeId.endsWith('/measured')),
  );
  const first = await stream().next();
  assert.deepEqual(
    first.svids.map(({ spiffeId }) => spiffeId),
    ['spiffe://example.org/web'],
  );
  await host.extendDigest('/usr/bin/node', createHash('sha256').update(program).digest());
  const held = stream();
  await until(
    'it is signed',
    () =>
      [...agent.store.entries().values()].some(
        ({ id, spiffeId }) => spiffeId.endsWith('/measured') && agent.store.x509(id) !== undefined,
      ),
    15_000,
  );
  const { svids } = await held.next();
  assert.ok(svids.some(({ spiffeId }) => spiffeId === 'spiffe://example.org/measured'));

  await operator.good('apply -f -', [known('web'), policy, group].map(yaml).join(''));
  await until('drifted, for nobody accepts that file', () => agent.store.status.state === 'drifted');
  assert.match(await page(pageSocket, '/'), /<b class="drifted">1<\/b>/);
  const body = await page(pageSocket, `/hosts/${hostId}`);
  assert.match(body, /file_unknown[\s\S]*\/usr\/bin\/node/);
  assert.match(body, /Secure Boot<small>PCR 7/);
  assert.match(await page(pageSocket, `/hosts/${hostId}/runtime`), /\/usr\/bin\/node/);
});
