/**
 * Whose identities were taken back. A record follows each change of a node or its host into a state that withdraws, in a commit
 * of its own right after; if the server dies in between, its next start finds what is missing from the states.
 */
import type { Clock } from '../../clock.js';
import { messageOf } from '../../errors.js';
import type { Logger } from '../../log.js';
import type { SpiffeId, TrustDomain } from '../../spiffe/id.js';
import type { Audit } from '../access/audit.js';
import type { Registry, RegistryChange } from '../contract.js';
import type { Datastore, Write } from '../datastores/contract.js';
import { listeners } from '../datastores/listeners.js';
import { type SerialLane, serialLane } from '../datastores/serial-lane.js';
import { startDueTimer } from '../due-timer.js';
import { tpmNodeId } from '../hosts/selectors.js';
import { stateTable } from '../hosts/state.js';
import type { Serials } from '../issuing/serials.js';
import type { Host, Node, Reason, WithdrawalRecord } from '../model.js';

export interface WithdrawalsDeps {
  readonly store: Datastore;
  readonly registry: Registry;
  readonly serials: Serials;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly log: Logger;
  readonly audit: Audit;
}

export interface Withdrawals extends AsyncDisposable {
  /** Those of which something could still be valid. */
  all(): WithdrawalRecord[];
  /** Whether the node is withdrawn now; one that recovered stays in `all` for what it held before. */
  isWithdrawn(node: SpiffeId): boolean;
  onChange(listener: () => void): () => void;
}

interface Ledger {
  readonly deps: WithdrawalsDeps;
  readonly records: Map<SpiffeId, WithdrawalRecord>;
  readonly lane: SerialLane;
  /** What is not written down yet, newest version of each. */
  readonly pending: Map<string, Write>;
  readonly changes: ReturnType<typeof listeners<void>>;
  readonly expect: (until: number) => void;
  stopped: boolean;
}

const RETRY_MS = 2_000;
const PAGE = 2000;

/** Complete when it resolves: also what a former run did not get to write down. */
export async function openWithdrawals(deps: WithdrawalsDeps): Promise<Withdrawals> {
  const { registry, clock } = deps;
  const records = await load(deps);
  const timer = startDueTimer(clock, {
    next: () => Math.ceil(firstEnd(records.values()) / 1000),
    run: () => prune(ledger),
  });
  const expect = (until: number) => timer.expect(Math.ceil(until / 1000));
  const shared = { deps, records, lane: serialLane(), pending: new Map<string, Write>() };
  const ledger: Ledger = { ...shared, changes: listeners<void>(), expect, stopped: false };
  for (const node of deps.serials.holders()) {
    const why = reasonsOf(deps, node, true);
    if (why !== undefined) await withdraw(ledger, node, why);
  }
  const unsubscribe = registry.onChange((change) => follow(ledger, change));
  return {
    all: () => [...records.values()].filter(({ until }) => until > clock.now()),
    isWithdrawn: (node) => reasonsOf(deps, node, true) !== undefined,
    onChange: ledger.changes.add,
    async [Symbol.asyncDispose]() {
      ledger.stopped = true;
      unsubscribe();
      timer[Symbol.dispose]();
      await ledger.lane.drained();
    },
  };
}

function firstEnd(records: Iterable<WithdrawalRecord>): number {
  let first = Number.POSITIVE_INFINITY;
  for (const { until } of records) first = Math.min(first, until);
  return first;
}

async function load({ store, serials, clock }: WithdrawalsDeps): Promise<Ledger['records']> {
  const records: Ledger['records'] = new Map();
  for (let after: string | undefined = ''; after !== undefined; ) {
    const page: Awaited<ReturnType<typeof store.list<'withdrawal'>>> = await store.list('withdrawal', {
      after,
      limit: PAGE,
    });
    for (const { value } of page) {
      records.set(value.nodeId, value);
      if (value.until > clock.now()) serials.setNotBefore(value.nodeId, value.issuedBefore);
    }
    after = page.length < PAGE ? undefined : page.at(-1)?.key;
  }
  return records;
}

function follow(ledger: Ledger, { nodes, hosts }: RegistryChange): void {
  const { trustDomain } = ledger.deps;
  const touched = new Map<SpiffeId, { evicted: boolean }>();
  for (const { before, after } of hosts) {
    const host = after ?? before;
    if (host !== undefined) touched.set(tpmNodeId(trustDomain, host.id), { evicted: false });
  }
  for (const { before, after } of nodes) {
    const node = after ?? before;
    if (node !== undefined) touched.set(node.id, { evicted: after === undefined });
  }
  for (const [node, { evicted }] of touched) {
    const why = reasonsOf(ledger.deps, node, evicted);
    if (why !== undefined) void withdraw(ledger, node, why);
  }
}

/**
 * Why what a node holds is not to be accepted; undefined while it may hold something.
 * @param evicted whether a node that is not there was there before; else it may be about to attest for the first time
 */
function reasonsOf(
  { registry, trustDomain }: WithdrawalsDeps,
  id: SpiffeId,
  evicted: boolean,
): readonly Reason[] | undefined {
  const node = registry.node(id);
  const host = hostOf(registry, trustDomain, id, node);
  if (host !== undefined && stateTable[host.state].withdraw) {
    return host.reasons.length > 0
      ? host.reasons
      : [{ code: host.state, message: stateTable[host.state].sentence }];
  }
  if (node === undefined) {
    return evicted ? [{ code: 'evicted', message: 'an operator evicted this agent' }] : undefined;
  }
  return node.banned ? [{ code: 'agent_banned', message: 'an operator banned this agent' }] : undefined;
}

/** A retired host is known by its key still when its node is gone. */
function hostOf(
  registry: Registry,
  domain: TrustDomain,
  id: SpiffeId,
  node: Node | undefined,
): Host | undefined {
  if (node !== undefined) return node.hostId === undefined ? undefined : registry.host(node.hostId);
  const prefix = `spiffe://${domain}/spire/agent/tpm/`;
  return id.startsWith(prefix) ? registry.host(id.slice(prefix.length)) : undefined;
}

/** What was given out ends at this very moment, in memory; the commit follows, and is tried until it succeeds. */
function withdraw(ledger: Ledger, nodeId: SpiffeId, reasons: readonly Reason[]): Promise<void> {
  const { serials, clock, registry, trustDomain, audit } = ledger.deps;
  const now = clock.now();
  const { writes, until, issuedBefore } = serials.withdraw(nodeId, now);
  const before = ledger.records.get(nodeId);
  if (until === 0 && (before === undefined || JSON.stringify(before.reasons) === JSON.stringify(reasons))) {
    return Promise.resolve();
  }
  const hostId = hostOf(registry, trustDomain, nodeId, registry.node(nodeId))?.id ?? before?.hostId ?? '';
  const covered = before?.issuedBefore ?? 0;
  const last = Math.max(until, before?.until ?? 0);
  const record: WithdrawalRecord = {
    ...{ nodeId, hostId, reasons, until: last },
    issuedBefore: until === 0 ? covered : Math.max(covered, issuedBefore),
  };
  ledger.records.set(nodeId, record);
  if (until > 0) {
    const codes = reasons.map(({ code }) => code);
    audit.event('identities_withdrawn', {
      agent_id: nodeId,
      reasons: codes,
      expires_at: Math.ceil(last / 1000),
    });
  }
  ledger.expect(last);
  ledger.changes.tell();
  for (const write of [...writes, { kind: 'withdrawal', key: nodeId, value: record } as const]) {
    ledger.pending.set(`${write.kind}!${write.key}`, write);
  }
  return ledger.lane.run(() => writeDown(ledger));
}

async function writeDown(ledger: Ledger): Promise<void> {
  const { store, log, clock } = ledger.deps;
  const batch = [...ledger.pending];
  if (batch.length === 0) return;
  try {
    await store.commit(batch.map(([, write]) => write));
    for (const [key, write] of batch) if (ledger.pending.get(key) === write) ledger.pending.delete(key);
  } catch (error) {
    // It holds in memory, and the next start finds it by the node's state: only a recovery before then could hide it.
    log.error('a withdrawal could not be written down yet', { error: messageOf(error) });
    if (!ledger.stopped) clock.after(RETRY_MS, () => void ledger.lane.run(() => writeDown(ledger)));
  }
}

async function prune({ deps, records, changes }: Ledger): Promise<boolean> {
  const { store, clock, log } = deps;
  const ended = [...records.values()].filter(({ until }) => until <= clock.now());
  if (ended.length === 0) return true;
  try {
    await store.commit(ended.map(({ nodeId: key }) => ({ kind: 'withdrawal', key, deleted: true })));
  } catch (error) {
    log.error('withdrawals that have ended could not be dropped', { error: messageOf(error) });
    return false;
  }
  for (const { nodeId, until } of ended) {
    if (records.get(nodeId)?.until === until) records.delete(nodeId);
  }
  changes.tell();
  return true;
}
