import { randomBytes } from 'node:crypto';
import type { MeasuringStream } from '../../src/agent/measure/ticks.js';
import type {
  EntriesMessage,
  NodeSvid,
  ServerApi,
  SessionHello,
  SessionMessage,
  SessionStream,
} from '../../src/agent/server/api.js';
import type { Dial, ServerChannel } from '../../src/agent/server/channel.js';
import type { StoreMessage } from '../../src/agent/sync/apply-messages.js';
import type { Clock } from '../../src/clock.js';
import { TouchmarkError } from '../../src/errors.js';
import type { Bundle } from '../../src/spiffe/bundle.js';
import type { Entry } from '../../src/spiffe/entry.js';
import { parseSpiffeId } from '../../src/spiffe/id.js';
import { readCsr } from '../../src/x509/csr.js';
import { type SigningAuthority, signingAuthority } from './signing-authority.js';

/** A server without a network: what the agent's loops talk to when a test holds the clock. */
export interface MemoryServer {
  readonly authority: SigningAuthority;
  readonly dial: Dial;
  /** Thrown by every call while set; open sessions break. */
  away: boolean;
  /** Thrown by openSession. */
  refuseSession: TouchmarkError | undefined;
  refuseAttestation: TouchmarkError | undefined;
  reattestable: boolean;
  nodeTtl: number;
  /** Whether heartbeats are answered. */
  answersBeats: boolean;
  readonly entries: Map<string, Entry>;
  readonly federated: Map<string, Bundle>;
  /** Sessions in the order of their opening, with what was said on them. */
  readonly sessions: MemorySession[];
  /** Names of calls, in order. */
  readonly calls: string[];
  /** The newest session that is open. */
  live(): MemorySession;
  /** Breaks every session, as a network does. */
  breakSessions(): void;
}

export interface MemorySession {
  readonly hello: SessionHello;
  readonly svid: NodeSvid | undefined;
  readonly beats: number;
  readonly failures: string[];
  readonly evidence: Parameters<MeasuringStream['evidence']>[0][];
  readonly logParts: Parameters<MeasuringStream['logPart']>[0][];
  readonly growths: number[];
  readonly open: boolean;
  push(message: SessionMessage): void;
  /** Ends the stream: in order, or with an error. */
  end(error?: TouchmarkError): void;
}

export const away = () => new TouchmarkError('server_away', 'the server cannot be reached');

export function memoryServer(clock: Clock): MemoryServer {
  const authority = signingAuthority(clock);
  const server: MemoryServer = {
    authority,
    away: false,
    refuseSession: undefined,
    refuseAttestation: undefined,
    reattestable: true,
    nodeTtl: 3600,
    answersBeats: true,
    entries: new Map(),
    federated: new Map(),
    sessions: [],
    calls: [],
    dial: (svid) => channel(server, svid),
    live() {
      const found = server.sessions.filter(({ open }) => open).at(-1);
      if (found === undefined) throw new Error('no session is open');
      return found;
    },
    breakSessions() {
      for (const session of server.sessions) session.end(away());
    },
  };
  return server;
}

function channel(server: MemoryServer, svid: NodeSvid | undefined): ServerChannel {
  let closed = false;
  const called = (name: string) => {
    server.calls.push(name);
    if (server.away || closed) throw away();
  };
  return {
    api: api(server, svid, called),
    async attest({ csr }) {
      called('attest');
      if (server.refuseAttestation !== undefined) throw server.refuseAttestation;
      const id = parseSpiffeId('spiffe://example.org/spire/agent/join_token/one');
      const chain = server.authority.x509For(readCsr(csr).spki, id, server.nodeTtl);
      return { id, chain, reattestable: server.reattestable };
    },
    [Symbol.dispose]() {
      closed = true;
    },
  };
}

function api(server: MemoryServer, svid: NodeSvid | undefined, called: (name: string) => void): ServerApi {
  const { authority, entries } = server;
  return {
    async postStatus() {
      called('postStatus');
    },
    async renewAgent(csr) {
      called('renewAgent');
      return authority.x509(csr, svid?.id ?? '', server.nodeTtl);
    },
    openSession(hello, signal) {
      called('openSession');
      if (server.refuseSession !== undefined) throw server.refuseSession;
      const { session, stream } = memorySession(server, hello, svid, signal);
      server.sessions.push(session);
      return stream;
    },
    async syncEntries() {
      called('syncEntries');
      return new Map(entries);
    },
    async bundle() {
      called('bundle');
      return authority.bundle();
    },
    async federatedBundle(domain) {
      called('federatedBundle');
      return server.federated.get(domain);
    },
    async signX509(requests) {
      called('signX509');
      return requests.map(({ entryId, csr }) => {
        const id = entries.get(entryId)?.spiffeId;
        if (id !== undefined) return { chain: authority.x509(csr, id, 3600) };
        return { error: new TouchmarkError('server_refused', `entry ${entryId} is not known`) };
      });
    },
    async signJwt(entryId, audience) {
      called('signJwt');
      const id = entries.get(entryId)?.spiffeId ?? parseSpiffeId('spiffe://example.org/none');
      return authority.jwt(id, audience, 300);
    },
  };
}

function memorySession(
  server: MemoryServer,
  hello: SessionHello,
  svid: NodeSvid | undefined,
  signal: AbortSignal,
): { session: MemorySession; stream: SessionStream } {
  const queue: SessionMessage[] = [];
  const failures: string[] = [];
  let beats = 0;
  let end: { error: TouchmarkError | undefined } | undefined;
  let wake = () => {};
  const stop = (error?: TouchmarkError) => {
    end ??= { error };
    wake();
  };
  if (signal.aborted) stop(away());
  signal.addEventListener('abort', () => stop(away()), { once: true });
  async function* messages(): AsyncGenerator<SessionMessage, void, undefined> {
    for (;;) {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) yield next;
      if (end?.error !== undefined) throw end.error;
      if (end !== undefined) return;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }
  const session: MemorySession = {
    hello,
    svid,
    failures,
    evidence: [],
    logParts: [],
    growths: [],
    get beats() {
      return beats;
    },
    get open() {
      return end === undefined;
    },
    push(message) {
      queue.push(message);
      wake();
    },
    end: stop,
  };
  const stream: SessionStream = {
    heartbeat: () => {
      beats += 1;
      if (server.answersBeats) session.push({ kind: 'heartbeat', serverTime: 0 });
    },
    fail: (_code, message) => failures.push(message),
    evidence: (evidence) => session.evidence.push(evidence),
    logPart: (part) => session.logParts.push(part),
    growth: (entries) => session.growths.push(entries),
    cancel: () => stop(away()),
    [Symbol.asyncIterator]: messages,
  };
  return { session, stream };
}

/** The whole set of entries as a server begins a session with it. */
export function wholeSet(entries: Iterable<Entry>, revision: bigint, epoch = 'store-1'): EntriesMessage {
  return { kind: 'entries', epoch, revision, full: true, upserts: [...entries], removed: [], more: false };
}

export function delta(
  revision: bigint,
  upserts: readonly Entry[],
  removed: readonly string[] = [],
  more = false,
): EntriesMessage {
  return { kind: 'entries', epoch: 'store-1', revision, full: false, upserts, removed, more };
}

export function bundlesMessage(own: Bundle, federated: readonly Bundle[] = []): StoreMessage {
  return { kind: 'bundles', own, federated, crls: [randomBytes(4)] };
}
