/** What the issuer costs beyond the two OpenSSL calls that it cannot do without. `node dist/bench/issue.js [seconds]` */
import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { systemClock } from '../src/clock.js';
import { silentLogger } from '../src/log.js';
import { openAuthority } from '../src/server/authority/authority.js';
import { createIssuer } from '../src/server/issue.js';
import { openSerials } from '../src/server/issuing/serials.js';
import { memoryKeyManager } from '../src/server/key-managers/memory.js';
import { parseSpiffeId, parseTrustDomain } from '../src/spiffe/id.js';
import { buildCsr, readCsr } from '../src/x509/csr.js';
import { exportSpki, importSpki } from '../src/x509/spki.js';
import { memoryDatastore } from '../test/fakes/memory-datastore.js';

const seconds = Number(process.argv[2] ?? 2);
const config = {
  trustDomain: parseTrustDomain('example.org'),
  svid: { x509Ttl: 3600, jwtTtl: 300, agentTtl: 3600 },
  ca: { keyType: 'ec-p256', ttl: 86_400, subject: { country: 'US', organization: 'T', commonName: '' } },
  jwt: { issuer: '', keyType: 'ec-p256' },
  bundleRefreshHint: 300,
} as const;

/** Calls a second of one task, alternating short turns of all tasks so that they meet the same machine. */
async function rates(
  tasks: Readonly<Record<string, () => void | Promise<void>>>,
): Promise<Record<string, number>> {
  const spent = new Map<string, { calls: number; ns: bigint }>();
  const end = Date.now() + seconds * 1000 * Object.keys(tasks).length;
  for (let turn = 0; Date.now() < end; turn += 1) {
    for (const [name, task] of Object.entries(tasks)) {
      const start = process.hrtime.bigint();
      for (let i = 0; i < 200; i += 1) {
        const wait = task();
        if (wait !== undefined) await wait;
      }
      const total = spent.get(name) ?? { calls: 0, ns: 0n };
      // The first turns warm up.
      if (turn > 5)
        spent.set(name, { calls: total.calls + 200, ns: total.ns + process.hrtime.bigint() - start });
    }
  }
  return Object.fromEntries([...spent].map(([name, { calls, ns }]) => [name, (calls * 1e9) / Number(ns)]));
}

const shared = { store: memoryDatastore(), keys: memoryKeyManager(), clock: systemClock };
const authority = await openAuthority({ config, ...shared, logger: silentLogger() });
const serials = await openSerials({ ...shared, log: silentLogger() });
const issuer = createIssuer({ config, authority, clock: systemClock, serials });
const node = parseSpiffeId('spiffe://example.org/spire/agent/tpm/00');
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const csr = buildCsr({ key: privateKey });
const { spki, publicKey } = readCsr(csr);
const exportedSpki = exportSpki(publicKey);
const data = Buffer.alloc(300, 7);
const signature = sign('sha256', data, privateKey);
const id = parseSpiffeId('spiffe://example.org/bench');

/** As the API does it: asks for a serial number of the node first, and waits for it when a block is used up. */
function issueForNode(): void | Promise<void> {
  const wait = issuer.reserve(node, 'workload', 0, 16);
  if (wait !== undefined) return wait.then(issueForNode);
  issuer.workloadX509({ id, spki, ttl: 0, node });
}

const measured = await rates({
  'raw: sign': () => void sign('sha256', data, privateKey),
  'raw: import + verify + sign': () => {
    verify('sha256', data, importSpki(exportedSpki), signature);
    sign('sha256', data, privateKey);
  },
  'issue, key known': () => void issuer.workloadX509({ id, spki, ttl: 0 }),
  "issue, node's serial number": issueForNode,
  'read CSR + issue': () => void issuer.workloadX509({ id, spki: readCsr(csr).spki, ttl: 0 }),
  JWT: () => void issuer.jwt({ id, audience: ['spiffe://example.org/other'], ttl: 0, withJti: false }),
});

for (const [name, rate] of Object.entries(measured)) {
  process.stdout.write(
    `${name.padEnd(30)} ${rate.toFixed(0).padStart(7)}/s ${(1e6 / rate).toFixed(1).padStart(7)} us\n`,
  );
}
const ratio = (a: string, b: string) => ((measured[a] ?? 0) / (measured[b] ?? 1)).toFixed(2);
process.stdout.write(
  `read CSR + issue / raw import + verify + sign: ${ratio('read CSR + issue', 'raw: import + verify + sign')}\n`,
);
process.stdout.write(
  `issue with a node's serial number / issue with a random one: ${ratio("issue, node's serial number", 'issue, key known')}\n`,
);
process.stdout.write(
  `issue / raw sign: ${ratio('issue, key known', 'raw: sign')}; JWT / raw sign: ${ratio('JWT', 'raw: sign')}\n`,
);
await authority[Symbol.asyncDispose]();
