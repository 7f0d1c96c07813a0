/** What operators do with hosts. Every change is one conditional batch; sessions learn of it from the registry. */

import type { Reason } from '../model.js';
import { allowHost, approveHost, denyHost } from './allow.js';
import { createAllowedIndex } from './allowed.js';
import type { Hosts, HostsContext, HostsDeps } from './contract.js';
import { createEnrolment } from './enrol.js';
import { findHost } from './find.js';
import { createApprovalQueue } from './queue.js';
import { replaceHost } from './replace.js';
import type { HostChange } from './state.js';
import { changeState, forgetHost, listHosts, setHost } from './verbs.js';

const noTpm = {
  enrol: 'allow-list',
  anyGenuineAlgorithm: 'p256',
  approval: { perAddress: 0, total: 0, ttl: 0 },
  suspectGrace: 0,
} as const;

export function createHosts(deps: HostsDeps): Hosts {
  const config = deps.config ?? noTpm;
  const queue = createApprovalQueue(config.approval, deps.clock);
  const context: HostsContext = { ...deps, queue, allowed: createAllowedIndex(deps.store) };
  const state = (reference: string, change: HostChange, by: string) =>
    changeState(context, reference, change, by);
  const reason = (code: string, message: string): Reason => ({ code, message });
  return {
    enrolment: createEnrolment({ store: deps.store, queue, onEvent: deps.onEvent, config }),
    find: (reference) => findHost(context, reference),
    list: () => listHosts(context),
    allow: (request, by) => allowHost(context, request, `allow-list by ${by}`, by),
    approve: (reference, given, by) => approveHost(context, reference, given, by),
    deny: (reference, by) => denyHost(context, reference, by),
    set: (reference, change, by) => setHost(context, reference, change, by),
    quarantine: (reference, why, by) =>
      state(
        reference,
        { kind: 'quarantined', reason: reason('quarantined', because(`${by} set it aside`, why)) },
        by,
      ),
    release: (reference, by) =>
      state(reference, { kind: 'released', graceMs: config.suspectGrace * 1000 }, by),
    retire: (reference, why, by) =>
      state(reference, { kind: 'retired', reason: reason('retired', because(`${by} retired it`, why)) }, by),
    replace: (oldReference, newReference, by) => replaceHost(context, oldReference, newReference, by),
    forget: (reference, by) => forgetHost(context, reference, by),
    async banNode(nodeId, by) {
      const hostId = deps.registry.node(nodeId)?.hostId;
      if (hostId === undefined) return;
      await state(hostId, { kind: 'banned', reason: reason('banned', `${by} banned it`) }, by);
    },
    async suspect(hostId, suspicions) {
      const graceMs = config.suspectGrace * 1000;
      await state(hostId, { kind: 'suspected', suspicions, graceMs }, 'the server');
      deps.onEvent({ name: 'host_suspect', hostId, reasons: suspicions });
    },
  };
}

function because(what: string, why: string): string {
  return why === '' ? what : `${what}: ${why}`;
}
