import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import type { TestContext } from 'node:test';
import { systemClock } from '../../src/clock.js';
import { silentLogger } from '../../src/log.js';
import { type RpcChannel, tlsChannel } from '../../src/rpc/channel.js';
import { createRpcServer, type RpcServer } from '../../src/rpc/server.js';
import { listenTls, type TlsIdentity, type TlsListener, type TlsPeer } from '../../src/rpc/tls-listener.js';
import { type CertificateSigner, selfSign, signCertificate } from '../../src/x509/certificate.js';
import { encodeName } from '../../src/x509/name.js';
import { writePemCertificates } from '../../src/x509/pem.js';
import { exportSpki } from '../../src/x509/spki.js';

export interface TestIdentity extends TlsIdentity {
  /** DER. */
  readonly leaf: Uint8Array;
}

const now = Math.floor(Date.now() / 1000);
const times = { notBefore: now - 60, notAfter: now + 3600 };
const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

export function authority(name: string): CertificateSigner {
  const template = {
    kind: 'authority' as const,
    serial: randomBytes(8),
    subject: encodeName({ organization: name }),
    uri: 'spiffe://example.org',
    ...times,
  };
  return selfSign(template, newKey());
}

export function identity(ca: CertificateSigner, path: string, key: KeyObject = newKey()): TestIdentity {
  const leaf = signCertificate(
    {
      kind: 'leaf',
      serial: randomBytes(8),
      subject: encodeName({ organization: path }),
      uri: `spiffe://example.org${path}`,
      dnsNames: [],
      spki: exportSpki(key),
      ...times,
    },
    ca,
  );
  return {
    leaf: new Uint8Array(leaf),
    keyPem: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
    chainPem: writePemCertificates([leaf, ca.certificate]),
  };
}

export interface TlsServed {
  readonly server: RpcServer<TlsPeer>;
  readonly listener: TlsListener;
  readonly peers: TlsPeer[];
  channel(options?: {
    identity?: () => TlsIdentity | undefined;
    verify?: (chain: readonly Uint8Array[]) => void | Promise<void>;
  }): RpcChannel;
}

export async function serveTls(
  t: TestContext,
  shown: TlsIdentity,
  add: (server: RpcServer<TlsPeer>) => void,
  more: Partial<Parameters<typeof listenTls<TlsPeer>>[0]> = {},
): Promise<TlsServed> {
  const server = createRpcServer<TlsPeer>({ clock: systemClock, log: silentLogger() });
  add(server);
  const peers: TlsPeer[] = [];
  const listener = await listenTls<TlsPeer>({
    server,
    log: silentLogger(),
    host: '127.0.0.1',
    port: 0,
    identity: shown,
    identify: (peer) => {
      peers.push(peer);
      return peer;
    },
    keyOf: (peer) => peer.address,
    ...more,
  });
  const open: RpcChannel[] = [];
  t.after(async () => {
    for (const channel of open) channel.close();
    await Promise.all([listener.close(), server.close(100)]);
  });
  return {
    server,
    listener,
    peers,
    channel(options = {}) {
      const channel = tlsChannel({ host: '127.0.0.1', port: listener.port, verify: () => {}, ...options });
      open.push(channel);
      return channel;
    },
  };
}
