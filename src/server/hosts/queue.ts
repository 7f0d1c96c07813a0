/**
 * The chips that wait for an operator. In memory: a restart forgets them, and their agents come again by themselves.
 * A chip gets in only after it proved its keys, so the queue cannot be filled by whoever merely knows their public
 * halves; a host that comes again keeps its place and its code.
 */
import { randomBytes } from 'node:crypto';
import { enrolmentCode, normaliseEnrolmentCode } from '../../attest/enrolment-code.js';
import type { Clock } from '../../clock.js';
import { TouchmarkError } from '../../errors.js';
import type { HostEk } from '../model.js';

export interface PendingHost {
  /** The EK that will name the host. */
  readonly id: string;
  readonly eks: readonly HostEk[];
  /** What the agent shows: `ABCD-EFGH`. */
  readonly code: string;
  readonly address: string;
  readonly firstSeen: number;
  readonly expiresAt: number;
  readonly denied: boolean;
}

export interface QueueLimits {
  readonly perAddress: number;
  readonly total: number;
  /** Seconds. */
  readonly ttl: number;
}

export interface ApprovalQueue {
  /** What waits and was not denied, in order of arrival. */
  waiting(): PendingHost[];
  byId(id: string): PendingHost | undefined;
  byCode(code: string): PendingHost | undefined;
  /** A code for a chip that may come to wait: the one that it has, else one that nobody could have foreseen. */
  codeFor(id: string): string;
  /** @throws TouchmarkError `enrolment_queue_full` */
  add(pending: { id: string; eks: readonly HostEk[]; code: string; address: string }): PendingHost;
  deny(id: string): void;
  remove(id: string): void;
}

export function createApprovalQueue(limits: QueueLimits, clock: Clock): ApprovalQueue {
  const items = new Map<string, PendingHost>();
  const expire = () => {
    for (const [id, item] of items) if (item.expiresAt <= clock.now()) items.delete(id);
  };
  const fresh = (): PendingHost[] => {
    expire();
    return [...items.values()];
  };
  return {
    waiting: () => fresh().filter((item) => !item.denied),
    byId: (id) => fresh().find((item) => item.id === id),
    byCode: (code) => fresh().find((item) => item.code === normaliseEnrolmentCode(code) && !item.denied),
    codeFor(id) {
      expire();
      return items.get(id)?.code ?? enrolmentCode(id, randomBytes(32));
    },
    add({ id, eks, code, address }) {
      const before = fresh().find((item) => item.id === id);
      if (before === undefined) checkRoom(fresh(), address, limits);
      const now = clock.now();
      const item: PendingHost = {
        id,
        eks,
        code: before?.code ?? code,
        address,
        firstSeen: before?.firstSeen ?? now,
        expiresAt: now + limits.ttl * 1000,
        denied: before?.denied ?? false,
      };
      items.set(id, item);
      return item;
    },
    deny(id) {
      const item = items.get(id);
      if (item !== undefined)
        items.set(id, { ...item, denied: true, expiresAt: clock.now() + limits.ttl * 1000 });
    },
    remove: (id) => void items.delete(id),
  };
}

function checkRoom(items: readonly PendingHost[], address: string, limits: QueueLimits): void {
  const fromHere = items.filter((item) => item.address === address).length;
  if (fromHere >= limits.perAddress) {
    throw new TouchmarkError(
      'enrolment_queue_full',
      `${fromHere} hosts from ${address} wait for an operator already`,
    );
  }
  if (items.length < limits.total) return;
  throw new TouchmarkError('enrolment_queue_full', `${items.length} hosts wait for an operator already`);
}
