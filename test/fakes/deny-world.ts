import { generateKeyPairSync } from 'node:crypto';
import { Disposal } from '../../src/disposal.js';
import { createLogger } from '../../src/log.js';
import { createAudit } from '../../src/server/access/audit.js';
import { openAuthority } from '../../src/server/authority/authority.js';
import { type DenyPublisher, openDenyPublisher } from '../../src/server/deny/publisher.js';
import { openWithdrawals, type Withdrawals } from '../../src/server/deny/withdrawals.js';
import { tpmNodeId } from '../../src/server/hosts/selectors.js';
import { createIssuer } from '../../src/server/issue.js';
import { openSerials } from '../../src/server/issuing/serials.js';
import { memoryKeyManager } from '../../src/server/key-managers/memory.js';
import type { Host, HostState } from '../../src/server/model.js';
import { openRegistry } from '../../src/server/registry/registry.js';
import { type DenyFeed, verifyDenyFeed } from '../../src/spiffe/deny-feed.js';
import { makeSpiffeId, parseTrustDomain, type SpiffeId } from '../../src/spiffe/id.js';
import { readCertificate } from '../../src/x509/read-certificate.js';
import { type Crl, readCrl, verifyCrl } from '../../src/x509/read-crl.js';
import { exportSpki } from '../../src/x509/spki.js';
import { host as hostRecord, node as nodeRecord } from '../server/registry/world.js';
import { manualClock } from './manual-clock.js';
import { memoryDatastore } from './memory-datastore.js';

export const domain = parseTrustDomain('example.org');
export const web = makeSpiffeId(domain, '/web');
export const LIFETIME = 24 * 3600;
export const hostId = (letter: string) => letter.repeat(64);
export const nodeOf = (letter: string): SpiffeId => tpmNodeId(domain, hostId(letter));

const config = {
  trustDomain: domain,
  svid: { x509Ttl: 3600, jwtTtl: 300, agentTtl: 3600 },
  ca: { keyType: 'ec-p256', ttl: 24 * 3600, subject: { country: 'DE', organization: 'T', commonName: '' } },
  jwt: { issuer: '', keyType: 'ec-p256' },
  bundleRefreshHint: 300,
} as const;
const spki = exportSpki(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey);

/** Everything from the registry to the published lists, over fakes whose time a test moves; it can crash and start again. */
export function denyWorld() {
  const clock = manualClock();
  const store = memoryDatastore();
  const keys = memoryKeyManager();
  const lines: Record<string, unknown>[] = [];
  const log = createLogger(
    { format: 'json', write: (line) => void lines.push(JSON.parse(line)), clock, journal: false },
    'debug',
  );
  const audit = createAudit(log, true);

  async function start() {
    const disposal = new Disposal();
    const shared = { store, keys, clock, log, audit, trustDomain: domain };
    const authority = disposal.use(await openAuthority({ config, ...shared, logger: log }));
    const serials = disposal.use(await openSerials(shared));
    const registry = disposal.use(await openRegistry(store, domain));
    const issuer = createIssuer({ config, authority, clock, serials });
    const withdrawals: Withdrawals = disposal.use(await openWithdrawals({ ...shared, registry, serials }));
    const publisher: DenyPublisher = disposal.use(
      await openDenyPublisher({ ...shared, authority, serials, withdrawals, lifetime: LIFETIME }),
    );
    const run = { authority, serials, registry, issuer, withdrawals, publisher };
    return {
      ...run,
      async x509(node: SpiffeId, ttl = 0) {
        const reserve = () => issuer.reserve(node, 'workload', ttl, 1);
        for (let wait = reserve(); wait; wait = reserve()) await wait;
        return issuer.workloadX509({ id: web, spki, ttl, node });
      },
      async jwt(node: SpiffeId, withJti: boolean, ttl = 0) {
        const reserve = () => issuer.reserve(node, withJti ? 'jti' : 'jwt', ttl, 1);
        for (let wait = reserve(); wait; wait = reserve()) await wait;
        return issuer.jwt({ id: web, audience: ['a'], ttl, withJti, node });
      },
      /** As a relying party reads them. */
      feed: (): DenyFeed => verifyDenyFeed(publisher.current().feed, authority.bundle(), clock.now() / 1000),
      crl(authorityId = authority.x509.signer().id): Crl {
        const found = publisher.current().crls.find((crl) => crl.authorityId === authorityId);
        if (found === undefined) throw new Error(`no CRL of ${authorityId}`);
        const crl = readCrl(found.der);
        const issuers = authority.bundle().x509Authorities.map(({ der }) => readCertificate(der));
        const issuer = issuers.find(
          ({ subjectKeyId: id }) => Buffer.from(id ?? []).toString('hex') === authorityId,
        );
        if (issuer === undefined) throw new Error(`${authorityId} is not in the bundle`);
        verifyCrl(crl, issuer, { now: clock.now() / 1000 });
        return crl;
      },
      stop: () => disposal[Symbol.asyncDispose](),
    };
  }

  return {
    ...{ clock, store, keys, lines, start },
    /** A host with its node, as an attestation leaves them. */
    async enrol(letter: string, state: HostState = 'trusted') {
      const host: Host = { ...hostRecord(hostId(letter)), state };
      const node = { ...nodeRecord('x'), id: nodeOf(letter), attestationType: 'tpm', hostId: hostId(letter) };
      await store.commit([
        { kind: 'host', key: hostId(letter), value: host },
        { kind: 'node', key: node.id, value: node },
      ]);
    },
    async setState(letter: string, state: HostState) {
      const host = await store.get('host', hostId(letter));
      if (host === undefined) throw new Error('no such host');
      const reasons = state === 'trusted' ? [] : [{ code: `is_${state}`, message: `it is ${state}` }];
      await store.commit([{ kind: 'host', key: hostId(letter), value: { ...host.value, state, reasons } }]);
    },
    records: () => store.list('withdrawal'),
  };
}

export type DenyRun = Awaited<ReturnType<ReturnType<typeof denyWorld>['start']>>;
