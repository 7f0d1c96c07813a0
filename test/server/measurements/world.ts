import { create } from '@bufbuild/protobuf';
import { createLogger } from '../../../src/log.js';
import { tpmNodeId } from '../../../src/server/hosts/selectors.js';
import type { Host } from '../../../src/server/model.js';
import type { Sessions } from '../../../src/server/sessions/contract.js';
import { createSessions } from '../../../src/server/sessions/sessions.js';
import type { SpiffeId } from '../../../src/spiffe/id.js';
import {
  type AgentMessage,
  AgentMessageSchema,
  type ServerMessage,
} from '../../../src/wire/gen/touchmark/session/v1/session_pb.js';
import { type AttestWorld, attestWorld, domain, type WorldOptions } from '../../fakes/attest-world.js';
import { hashOf, testVendor } from '../../fakes/chip-world.js';
import { settle } from '../../fakes/manual-clock.js';
import { type MeasuredHost, measuredPcrs, type TickChange } from '../../fakes/measured-host.js';
import { bundleOf } from '../../fakes/session-world.js';
import { queue } from '../../support/queue.js';

/** A server that attests chips and holds their sessions: all of it real but the judge, the issuer, the clock and the disk. */
export interface MeasuringWorld extends AttestWorld {
  readonly sessions: Sessions;
  host(of: MeasuredHost): Host;
  nodeId(of: MeasuredHost): SpiffeId;
  attestHost(of: MeasuredHost): Promise<void>;
  open(of: MeasuredHost, options?: { features?: string[]; auto?: boolean }): Promise<HostSession>;
}

/** An agent's end of a session. It answers ticks and requests by itself unless it is told to leave them. */
export interface HostSession {
  readonly received: ServerMessage[];
  readonly ended: Promise<unknown>;
  over: boolean;
  /** Ticks that came; the last one may wait for its answer. */
  readonly ticks: Uint8Array[];
  readonly requests: number;
  auto: boolean;
  change: TickChange;
  send(message: AgentMessage['message']): void;
  /** Sends, and lets everything that follows at once happen. */
  say(message: AgentMessage['message']): Promise<void>;
  grow(): Promise<void>;
  answer(tick?: Uint8Array, change?: TickChange): Promise<void>;
  /** Of the verdicts that came. */
  states(): number[];
  close(): Promise<void>;
}

export async function measuringWorld(options: WorldOptions = {}): Promise<MeasuringWorld> {
  const config = { pcrs: measuredPcrs, ...options.config };
  const world = await attestWorld({ authority: testVendor, ...options, config });
  const { clock, store, registry, hosts, events, measurements } = world;
  const own = bundleOf(domain, 1n);
  const sessions = createSessions({
    ...{ trustDomain: domain, epoch: store.epoch, registry, clock },
    log: createLogger({
      format: 'json',
      write: (line) => void world.lines.push(line),
      clock,
      journal: false,
    }),
    onEvent: (event) => void events.push(event),
    authority: { bundle: () => own, bundleOf: () => own, onChange: () => () => {} },
    crls: { current: () => [], onChange: () => () => {} } as never,
    reattestInterval: 1800,
    measuring: measurements,
    suspect: (id, reasons) => hosts.suspect(id, reasons),
  });
  const hostOf = (of: MeasuredHost) => {
    const host = registry.hostByEk(hashOf(of.chip));
    if (host === undefined) throw new Error('this host did not attest');
    return host;
  };
  const nodeId = (of: MeasuredHost) => tpmNodeId(domain, hostOf(of).id);
  return {
    ...world,
    sessions,
    host: hostOf,
    nodeId,
    async attestHost(of) {
      await world.attest(await of.attesting());
    },
    open: (of, opening = {}) => openSession(world, sessions, nodeId(of), of, opening),
    async [Symbol.asyncDispose]() {
      sessions[Symbol.dispose]();
      await world[Symbol.asyncDispose]();
    },
  };
}

/** The kernel's list has grown, says the agent. */
export const growth = {
  case: 'growth',
  value: { imaEntries: 1n } as never,
} as const satisfies AgentMessage['message'];

async function openSession(
  world: AttestWorld,
  sessions: Sessions,
  nodeId: SpiffeId,
  host: MeasuredHost,
  { features = ['measurement-1'], auto = true }: { features?: string[]; auto?: boolean },
): Promise<HostSession> {
  const requests = queue<AgentMessage>();
  const send = (message: AgentMessage['message']) => requests.push(create(AgentMessageSchema, { message }));
  const hello = { revision: 0n, epoch: '', bundleSequence: 0n, agentVersion: 'test', features };
  send({ case: 'hello', value: hello as never });
  const serial = world.registry.node(nodeId)?.serial ?? '';
  const svidExpiresAt = Math.floor(world.clock.now() / 1000) + 3600;
  const signal = new AbortController().signal;
  const call = { nodeId, serial, svidExpiresAt, address: '192.0.2.1', signal };
  let asked = 0;
  const session: HostSession = {
    ...{ received: [], ended: Promise.resolve(), over: false, ticks: [], auto, change: {} },
    get requests() {
      return asked;
    },
    send,
    async say(message) {
      send(message);
      await settle();
    },
    grow: () => session.say(growth),
    async answer(tick = session.ticks.at(-1), change = session.change) {
      if (tick === undefined) throw new Error('no tick came');
      await session.say({ case: 'evidence', value: await host.answerTick(tick, change) });
    },
    states: () =>
      session.received.flatMap(({ message }) => (message.case === 'verdict' ? [message.value.state] : [])),
    async close() {
      requests.end();
      await settle();
    },
  };
  const react = async ({ message }: ServerMessage) => {
    if (message.case === 'tick') {
      session.ticks.push(message.value);
      if (session.auto)
        send({ case: 'evidence', value: await host.answerTick(message.value, session.change) });
    }
    if (message.case === 'logRequest') {
      asked += 1;
      if (session.auto) send({ case: 'logPart', value: host.part(message.value) });
    }
  };
  const read = async () => {
    try {
      for await (const message of sessions.open(requests, call)) {
        session.received.push(message);
        await react(message);
      }
    } finally {
      session.over = true;
    }
  };
  const ended = read().then(
    () => 'done' as const,
    (error: unknown) => error,
  );
  await settle();
  return Object.defineProperty(session, 'ended', { value: ended });
}
