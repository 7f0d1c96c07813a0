/**
 * Whether a chip is ours. A certificate chain proves a genuine chip; that it may speak for this domain is decided
 * here, by an allow-list, an operator's approval, or an explicit rule. A chip is always judged by all of its keys.
 */

import type { TpmAttestationConfig } from '../../config/server-config.js';
import { TouchmarkError } from '../../errors.js';
import type { Condition, Datastore, Stored, Write } from '../datastores/contract.js';
import type { AllowedEk, Host, HostEk } from '../model.js';
import type { NodeEvents } from '../nodes/events.js';
import type { ApprovalQueue } from './queue.js';

/** What is known of each EK of a chip before it is challenged. */
export interface EkStanding {
  /** It belongs to this host. */
  readonly hostId?: string;
  readonly allowed?: Stored<AllowedEk>;
}

/** Name, labels and origin of a host that is to be made. */
export interface Admission {
  readonly primary: HostEk;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly enrolledBy: string;
  /** Uses up what let it in. */
  readonly writes: readonly Write[];
  readonly conditions: readonly Condition[];
}

export type EnrolmentPlan =
  | { readonly kind: 'known'; readonly host: Stored<Host> }
  | { readonly kind: 'admit'; readonly admission: Admission }
  /** An operator has to be asked, once the chip proved its keys. */
  | { readonly kind: 'ask'; readonly primary: HostEk; readonly code: string };

export interface Enrolment {
  standing(ekHash: string): Promise<EkStanding>;
  /**
   * Decides for a chip with these keys, each of which has a verified certificate or a standing.
   * @throws TouchmarkError `enrolment_refused`, `enrolment_denied`
   */
  plan(eks: readonly HostEk[]): Promise<EnrolmentPlan>;
  /** Puts a chip that proved its keys before the operator. @throws TouchmarkError `enrolment_pending`, `enrolment_queue_full`, `enrolment_denied` */
  ask(plan: EnrolmentPlan & { kind: 'ask' }, eks: readonly HostEk[], address: string): never;
}

export interface EnrolmentDeps {
  readonly store: Datastore;
  readonly queue: ApprovalQueue;
  readonly onEvent: NodeEvents;
  readonly config: Pick<TpmAttestationConfig, 'enrol' | 'anyGenuineAlgorithm'>;
}

export function createEnrolment(deps: EnrolmentDeps): Enrolment {
  const standing = (hash: string) => readStanding(deps.store, hash);
  return {
    standing,
    async plan(eks) {
      const standings = await Promise.all(eks.map((ek) => standing(ek.hash)));
      const hostIds = new Set(standings.flatMap(({ hostId }) => hostId ?? []));
      if (hostIds.size > 1) {
        const ids = [...hostIds].join(' and ');
        throw new TouchmarkError(
          'enrolment_refused',
          `the keys of this chip belong to more than one host: ${ids}`,
        );
      }
      for (const hostId of hostIds) return { kind: 'known', host: await hostOf(deps.store, hostId) };
      return admissionByList(eks, standings) ?? admissionByRule(deps, eks) ?? askOperator(deps, eks);
    },
    ask(plan, eks, address) {
      const item = deps.queue.add({ id: plan.primary.hash, eks, code: plan.code, address });
      refuseDenied(item.denied, item.id);
      deps.onEvent({ name: 'host_waits', hostId: item.id, code: item.code, address });
      throw new TouchmarkError(
        'enrolment_pending',
        `this host waits for an operator, who approves it by ${item.code}`,
        {
          detail: { hostId: item.id, code: item.code },
        },
      );
    },
  };
}

async function readStanding(store: Datastore, hash: string): Promise<EkStanding> {
  const [joined, allowed] = await Promise.all([store.get('host_ek', hash), store.get('allowed_ek', hash)]);
  return {
    ...(joined === undefined ? {} : { hostId: joined.value.hostId }),
    ...(allowed === undefined ? {} : { allowed }),
  };
}

async function hostOf(store: Datastore, hostId: string): Promise<Stored<Host>> {
  const host = await store.get('host', hostId);
  if (host === undefined) throw new TouchmarkError('host_unknown', `host ${hostId} is not known`);
  return host;
}

/** The first allowed key names the host; every allowance of the chip is used up by the enrolment. */
function admissionByList(
  eks: readonly HostEk[],
  standings: readonly EkStanding[],
): EnrolmentPlan | undefined {
  const allowed = standings.flatMap((standing) => standing.allowed ?? []);
  const first = allowed[0];
  const primary = eks.find((ek) => ek.hash === first?.key);
  if (first === undefined || primary === undefined) return undefined;
  const { name, labels, allowedBy } = first.value;
  const writes = allowed.map(({ key }): Write => ({ kind: 'allowed_ek', key, deleted: true }));
  const conditions = allowed.map(({ key, revision }): Condition => ({ kind: 'allowed_ek', key, revision }));
  return { kind: 'admit', admission: { primary, name, labels, enrolledBy: allowedBy, writes, conditions } };
}

/** One algorithm only, so that a chip has one name here and cannot return under its other key. */
function admissionByRule(deps: EnrolmentDeps, eks: readonly HostEk[]): EnrolmentPlan | undefined {
  if (deps.config.enrol !== 'any-genuine') return undefined;
  const primary = eks.find((ek) => ek.algorithm === deps.config.anyGenuineAlgorithm && ek.anchor !== '');
  if (primary === undefined) {
    const message = `the rule any-genuine asks for a certified ${deps.config.anyGenuineAlgorithm} endorsement key`;
    throw new TouchmarkError('enrolment_refused', message);
  }
  const admission = {
    primary,
    name: '',
    labels: {},
    enrolledBy: 'rule any-genuine',
    writes: [],
    conditions: [],
  };
  return { kind: 'admit', admission };
}

function askOperator(deps: EnrolmentDeps, eks: readonly HostEk[]): EnrolmentPlan {
  const primary = primaryOf(eks);
  if (deps.config.enrol !== 'approval') {
    const hashes = eks.map((ek) => ek.hash).join(', ');
    throw new TouchmarkError(
      'enrolment_refused',
      `none of the endorsement keys of this chip is allowed: ${hashes}`,
    );
  }
  refuseDenied(deps.queue.byId(primary.hash)?.denied === true, primary.hash);
  return { kind: 'ask', primary, code: deps.queue.codeFor(primary.hash) };
}

const preference = ['p256', 'rsa2048', 'p384'];

/** Which key names a host that waits: independent of the order in which the agent shows its keys. */
export function primaryOf(eks: readonly HostEk[]): HostEk {
  const rank = (ek: HostEk) =>
    (preference.indexOf(ek.algorithm) + preference.length + 1) % (preference.length + 1);
  const [first] = [...eks].sort((a, b) => rank(a) - rank(b) || (a.hash < b.hash ? -1 : 1));
  if (first === undefined) throw new TouchmarkError('enrolment_refused', 'the chip shows no endorsement key');
  return first;
}

function refuseDenied(denied: boolean, hash: string): void {
  if (denied)
    throw new TouchmarkError('enrolment_denied', `an operator denied the host with the key ${hash}`);
}
