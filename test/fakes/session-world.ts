import assert from 'node:assert/strict';
import { create } from '@bufbuild/protobuf';
import { createLogger } from '../../src/log.js';
import type { Registry } from '../../src/server/contract.js';
import type { Hosts } from '../../src/server/hosts/contract.js';
import { createHosts } from '../../src/server/hosts/hosts.js';
import { hostSelectors, tpmNodeId } from '../../src/server/hosts/selectors.js';
import type { Host, Node } from '../../src/server/model.js';
import type { NodeEvent } from '../../src/server/nodes/events.js';
import { openRegistry } from '../../src/server/registry/registry.js';
import type { SessionCall, Sessions } from '../../src/server/sessions/contract.js';
import { createSessions } from '../../src/server/sessions/sessions.js';
import type { Bundle } from '../../src/spiffe/bundle.js';
import { type Entry, entryUniqueKey } from '../../src/spiffe/entry.js';
import { parseTrustDomain, type SpiffeId } from '../../src/spiffe/id.js';
import {
  type AgentMessage,
  AgentMessageSchema,
  type Entries,
  type ServerMessage,
} from '../../src/wire/gen/touchmark/session/v1/session_pb.js';
import { queue } from '../support/queue.js';
import { domain, tpmConfig } from './attest-world.js';
import { type ManualClock, manualClock, settle } from './manual-clock.js';
import { type MemoryDatastore, memoryDatastore } from './memory-datastore.js';

export const hostId = 'ab'.repeat(32);
export const tpmNode: SpiffeId = tpmNodeId(domain, hostId);

export interface SessionWorld extends AsyncDisposable {
  readonly clock: ManualClock;
  readonly store: MemoryDatastore;
  readonly registry: Registry;
  readonly hosts: Hosts;
  readonly sessions: Sessions;
  readonly events: NodeEvent[];
  /** What was logged, a line of JSON each. */
  readonly lines: string[];
  /** What every session of this world was sent, in messages. */
  sent: number;
  setBundle(bundle: Bundle): void;
  put(...entries: readonly Entry[]): Promise<void>;
  remove(...entries: readonly Entry[]): Promise<void>;
  changeNode(change: Partial<Node>, id?: SpiffeId): Promise<void>;
  open(options?: Partial<SessionCall> & { hello?: Partial<AgentHelloFields> | null }): OpenSession;
}

export interface AgentHelloFields {
  readonly revision: bigint;
  readonly epoch: string;
}

/** An agent's end of a session: what it received so far, and how it ended. */
export interface OpenSession {
  readonly received: ServerMessage[];
  /** Of the kind that is named, and forgets what was received. */
  take<K extends ServerMessage['message']['case']>(
    kind: K,
  ): Extract<ServerMessage['message'], { case: K }>['value'][];
  readonly ended: Promise<unknown>;
  readonly over: boolean;
  say(message: AgentMessage['message']): Promise<void>;
  beat(): Promise<void>;
  /** Half-closes, as an agent that ends in order. */
  close(): Promise<void>;
  /** The connection breaks. */
  abort(): Promise<void>;
  /** Stops reading after the next message, until it is called again. */
  pause(paused: boolean): void;
}

export async function sessionWorld(): Promise<SessionWorld> {
  const clock = manualClock();
  const store = memoryDatastore();
  const registry = await openRegistry(store, domain);
  const events: NodeEvent[] = [];
  const onEvent = (event: NodeEvent) => void events.push(event);
  const base = { trustDomain: domain, store, registry, clock, onEvent };
  const hosts = createHosts({ ...base, config: tpmConfig });
  await store.commit(hostWrites(clock.now()));
  const bundles = fakeBundles();
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  const sessions = createSessions({
    ...base,
    log: createLogger({ format: 'json', write, clock, journal: false }),
    epoch: store.epoch,
    authority: bundles.authority,
    reattestInterval: 1800,
    measuring: { attach: () => assert.fail('this agent answers no ticks'), isFresh: () => true },
    suspect: (id, reasons) => hosts.suspect(id, reasons),
  });
  const world: SessionWorld = {
    ...{ clock, store, registry, hosts, sessions, events, lines, sent: 0 },
    setBundle: bundles.set,
    put: async (...entries) => {
      await store.commit(entries.flatMap((entry) => entryWrites(entry)));
      await settle();
    },
    remove: async (...entries) => {
      const gone = entries.map(({ id: key }) => ({ kind: 'entry' as const, key, deleted: true as const }));
      await store.commit(gone);
      await settle();
    },
    changeNode: async (change, id = tpmNode) => {
      const value = (await store.get('node', id))?.value;
      if (value === undefined) throw new Error(`there is no node ${id}`);
      await store.commit([{ kind: 'node', key: id, value: { ...value, ...change } }]);
      await settle();
    },
    open: (options = {}) => openSession(world, options),
    async [Symbol.asyncDispose]() {
      sessions[Symbol.dispose]();
      registry[Symbol.dispose]();
      await store[Symbol.asyncDispose]();
    },
  };
  return world;
}

function hostWrites(now: number) {
  const lastQuote = { at: now, resetCount: 1, restartCount: 0, clock: '5', safe: true };
  const host: Host = {
    ...{ id: hostId, name: '', labels: {}, eks: [], state: 'unmeasured', stateSince: now, reasons: [] },
    ...{
      graceEndsAt: 0,
      akName: '',
      attestationNumber: 1,
      enrolledBy: 'allow-list by uid 0',
      enrolledAt: now,
    },
    lastQuote: { ...lastQuote, firmwareVersion: '00', bank: 'sha256', pcrs: {} },
  };
  const node: Node = {
    ...{ id: tpmNode, attestationType: 'tpm', selectors: hostSelectors(host), serial: '01', nextSerial: '' },
    ...{ svidExpiresAt: 0, canReattest: true, banned: false, agentVersion: '', attestationNumber: 1, hostId },
  };
  return [
    { kind: 'host', key: hostId, value: host },
    { kind: 'node', key: tpmNode, value: node },
  ] as const;
}

function entryWrites(entry: Entry) {
  return [
    { kind: 'entry', key: entry.id, value: entry },
    { kind: 'entry_key', key: entryUniqueKey(entry), value: { id: entry.id } },
  ] as const;
}

export function bundleOf(name: string, sequence: bigint): Bundle {
  return {
    trustDomain: parseTrustDomain(name),
    x509Authorities: [{ der: Uint8Array.of(1, 2, 3), tainted: false }],
    jwtAuthorities: [],
    refreshHint: 300,
    sequence,
  };
}

function fakeBundles() {
  const held = new Map<string, Bundle>([[domain, bundleOf(domain, 1n)]]);
  const listeners = new Set<() => void>();
  const own = () => held.get(domain) ?? bundleOf(domain, 1n);
  return {
    set(bundle: Bundle) {
      held.set(bundle.trustDomain, bundle);
      for (const listener of listeners) listener();
    },
    authority: {
      bundle: own,
      bundleOf: (name: string) => held.get(name),
      onChange(listener: () => void) {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
    },
  };
}

function openSession(
  world: SessionWorld,
  { hello = {}, ...options }: Partial<SessionCall> & { hello?: Partial<AgentHelloFields> | null },
): OpenSession {
  const requests = queue<AgentMessage>();
  const controller = new AbortController();
  const svidExpiresAt = Math.floor(world.clock.now() / 1000) + 3600;
  const call = {
    nodeId: tpmNode,
    serial: '01',
    svidExpiresAt,
    address: '192.0.2.1',
    signal: controller.signal,
  };
  const send = (message: AgentMessage['message']) => requests.push(create(AgentMessageSchema, { message }));
  if (hello !== null) send({ case: 'hello', value: { ...emptyHello(), ...hello } as never });
  const received: ServerMessage[] = [];
  let over = false;
  let paused = false;
  let resume = () => {};
  const read = async () => {
    try {
      for await (const message of world.sessions.open(requests, { ...call, ...options })) {
        world.sent += 1;
        received.push(message);
        if (paused) await new Promise<void>((resolve) => (resume = resolve));
      }
    } finally {
      over = true;
    }
  };
  const ended = read().then(
    () => 'done' as const,
    (error: unknown) => error,
  );
  return {
    ...{ received, ended },
    get over() {
      return over;
    },
    take(kind) {
      const found = received.flatMap(({ message }) => (message.case === kind ? [message.value] : []));
      received.length = 0;
      return found as never;
    },
    async say(message) {
      send(message);
      await settle();
    },
    beat() {
      return this.say({ case: 'heartbeat', value: {} as never });
    },
    async close() {
      requests.end();
      await settle();
    },
    async abort() {
      controller.abort();
      await settle();
    },
    pause(now) {
      paused = now;
      if (!now) resume();
    },
  };
}

function emptyHello(): AgentHelloFields & {
  bundleSequence: bigint;
  agentVersion: string;
  features: string[];
} {
  return { revision: 0n, epoch: '', bundleSequence: 0n, agentVersion: 'test', features: [] };
}

/** An agent's entries after it applied messages, as IDs with their revision numbers. */
export function applied(messages: readonly Entries[], before: ReadonlyMap<string, bigint> = new Map()) {
  const held = new Map(before);
  for (const message of messages) {
    if (message.full) held.clear();
    for (const id of message.removed) held.delete(id);
    for (const entry of message.upserts) held.set(entry.id, entry.revisionNumber);
  }
  return held;
}
