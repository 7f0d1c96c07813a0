import { TouchmarkError } from '../errors.js';
import { passedSockets } from '../host/listen-fds.js';
import { peerOf } from '../host/peer.js';
import { listenTls, type TlsListener } from '../rpc/tls-listener.js';
import { type Listener, listenUnix } from '../rpc/unix-listener.js';
import { svidRole, unixRole } from './access/caller.js';
import type { Connected } from './access/gate.js';
import type { ServerContext } from './context.js';
import { listenForPage, type PageListener } from './page/listener.js';
import { answerPage } from './page/routes.js';
import type { Servers } from './services.js';

/** The operators' group may connect; what it may do there is for the table of roles to say. */
const SOCKET_MODE = 0o770;

/**
 * The operators' socket: one that the service manager opened, or the configured path.
 * @throws TouchmarkError `socket_path_invalid`, `socket_in_use`, `listen_fds_invalid`
 */
export async function listenForOperators(context: ServerContext, servers: Servers): Promise<Listener> {
  const { config, log, clock } = context;
  const ownUid = process.geteuid?.() ?? -1;
  const [passed] = passedSockets();
  return listenUnix<Connected>({
    ...{ server: servers.unix, log, clock },
    at: passed === undefined ? { path: config.socketPath, mode: SOCKET_MODE } : { fd: passed.fd },
    async identify(fd) {
      const peer = peerOf(fd);
      const { uid, gid, pid } = peer;
      // Operators are known by their uid; the process itself does not matter.
      peer.process.close();
      return { via: 'unix', uid, gid, pid, role: unixRole(uid, ownUid, config.administrators) };
    },
    keyOf: (caller) => (caller.via === 'unix' ? `uid ${caller.uid}` : caller.address),
  });
}

/** The page that operators look at; nothing where the configuration says so. */
export async function listenForBrowsers(context: ServerContext): Promise<PageListener | undefined> {
  const { config, log, serverSvid, privileged, verifyPeer } = context;
  const { page, trustDomain, administrators } = config;
  if (page === undefined) return undefined;
  const ownUid = process.geteuid?.() ?? -1;
  const listener = await listenForPage({
    ...{ config: page, log, identity: serverSvid.identity() },
    answer: (url) => answerPage({ ...context, trustDomain }, url),
    mayLook(peer) {
      if (peer.via === 'unix') return unixRole(peer.uid, ownUid, administrators) !== undefined;
      const svid = verifyPeer(peer);
      if (svid instanceof TouchmarkError || svid.tainted || svid.withdrawn) return false;
      return svidRole(svid.id, administrators) !== undefined || privileged.isAdmin(svid.id);
    },
  });
  serverSvid.onChange(() => listener.rotate(serverSvid.identity()));
  return listener;
}

/** @throws TouchmarkError `server_socket_failed` */
export async function listenForAgents(context: ServerContext, servers: Servers): Promise<TlsListener> {
  const { config, log, serverSvid, verifyPeer } = context;
  const listener = await listenTls<Connected>({
    ...{ server: servers.tls, log, host: config.bindAddress, port: config.bindPort },
    identity: serverSvid.identity(),
    maxConnections: 20_000,
    // A fleet stands behind one address, and silent connections cost memory only: they must not keep its agents out.
    maxHandshakesPerAddress: 4_000,
    // The peer itself, not a copy: copying would read its lazy member.
    identify: (peer) => Object.assign(peer, { via: 'tls' } as const),
    keyOf(caller) {
      if (caller.via === 'unix') return `uid ${caller.uid}`;
      const svid = caller.chain.length === 0 ? undefined : verifyPeer(caller);
      return svid === undefined || svid instanceof TouchmarkError ? caller.address : svid.id;
    },
  });
  serverSvid.onChange((svid) => {
    listener.rotate(serverSvid.identity());
    context.audit.event('server_svid_rotated', { serial: svid.serial, expires_at: svid.expiresAt });
  });
  return listener;
}
