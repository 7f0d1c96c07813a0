import { create } from '@bufbuild/protobuf';
import { TouchmarkError } from '../../errors.js';
import type { TrustDomain } from '../../spiffe/id.js';
import {
  type AllowedHost,
  type AllowHostsRequest,
  AllowHostsResponse_ResultSchema,
  AllowHostsResponseSchema,
  DenyHostResponseSchema,
  ForgetHostResponseSchema,
  type Host,
  type ListHostsRequest,
  ListHostsResponseSchema,
} from '../../wire/gen/touchmark/host/v1/host_pb.js';
import type { Hosts } from '../hosts/contract.js';
import type { Found } from '../hosts/find.js';
import { tpmNodeId } from '../hosts/selectors.js';
import type { PolicyBook } from '../measurements/contract.js';
import type { Sessions } from '../sessions/contract.js';
import { wireStates } from '../sessions/verdict.js';
import { byWhom } from './agent.js';
import { okStatus, statusOf } from './convert.js';
import { type HostView, hostToWire, stateOf } from './host-wire.js';
import type { ApiCall, ApiService } from './service.js';

export interface HostApiDeps {
  readonly hosts: Hosts;
  readonly sessions: Pick<Sessions, 'isLive'>;
  readonly policies: Pick<PolicyBook, 'policyFor'>;
  readonly trustDomain: TrustDomain;
}

const MAX_BATCH = 10_000;

/** `touchmark.host.v1.Host`: the operators' verbs. Who may call which is in the table of authorisation. */
export function hostService({
  hosts,
  sessions,
  policies,
  trustDomain,
}: HostApiDeps): ApiService<typeof Host> {
  const view: HostView = {
    nodeId: (id) => tpmNodeId(trustDomain, id),
    isLive: (id) => sessions.isLive(id),
    policyFor: (host) => policies.policyFor(host),
  };
  const shown = (call: ApiCall, found: Found) => {
    call.audit({ host_id: found.id });
    return hostToWire(found, view);
  };
  return {
    listHosts: async (request) => listHosts(await hosts.list(), request, view),
    getHost: async ({ by }, call) => shown(call, await hosts.find(reference('by', by.value))),
    allowHosts: async (request, call) => allowHosts(hosts, request, call, view),
    approveHost: async ({ by, name, labels }, call) =>
      shown(call, await hosts.approve(reference('by', by.value), { name, labels }, byWhom(call))),
    denyHost: async ({ by }, call) => {
      await hosts.deny(reference('by', by.value), byWhom(call));
      return create(DenyHostResponseSchema);
    },
    replaceHost: async ({ oldHost, newHost }, call) => {
      const [old, successor] = [reference('old_host', oldHost), reference('new_host', newHost)];
      return shown(call, await hosts.replace(old, successor, byWhom(call)));
    },
    forgetHost: async ({ id }, call) => {
      call.audit({ host_id: id.slice(0, 256) });
      await hosts.forget(reference('id', id), byWhom(call));
      return create(ForgetHostResponseSchema);
    },
    setHost: async ({ id, name, labels, removeLabels }, call) => {
      const change = { ...(name === undefined ? {} : { name }), labels, removeLabels };
      return shown(call, await hosts.set(reference('id', id), change, byWhom(call)));
    },
    quarantineHost: async ({ id, reason }, call) =>
      shown(call, await hosts.quarantine(reference('id', id), why(reason), byWhom(call))),
    releaseHost: async ({ id }, call) => shown(call, await hosts.release(reference('id', id), byWhom(call))),
    retireHost: async ({ id, reason }, call) =>
      shown(call, await hosts.retire(reference('id', id), why(reason), byWhom(call))),
  };
}

function reference(field: string, value: string | undefined): string {
  if (value !== undefined && value !== '' && value.length <= 256) return value;
  throw new TouchmarkError('argument_invalid', `${field}: a host is named by an EK hash, a name or a code`);
}

/** An operator's words, on one line of bounded length. */
function why(reason: string): string {
  return reason.replace(/\p{C}/gu, ' ').slice(0, 512);
}

function listHosts(all: readonly Found[], request: ListHostsRequest, view: HostView) {
  const { filter, pageSize, pageToken } = request;
  if (pageSize < 0) throw new TouchmarkError('argument_invalid', `page_size ${pageSize} is below zero`);
  const wanted = all.filter((found) => found.id > pageToken && matches(found, filter, view));
  const page = pageSize === 0 ? wanted : wanted.slice(0, pageSize);
  const nextPageToken = page.length < wanted.length ? (page.at(-1)?.id ?? '') : '';
  return create(ListHostsResponseSchema, {
    hosts: page.map((found) => hostToWire(found, view)),
    nextPageToken,
  });
}

function matches(found: Found, filter: ListHostsRequest['filter'], view: HostView): boolean {
  if (filter === undefined) return true;
  const labels = labelsOf(found);
  const fitting = Object.entries(filter.labels).every(([key, value]) => labels[key] === value);
  return fitting && (filter.states.length === 0 || filter.states.includes(wireStates[stateOf(found, view)]));
}

function labelsOf(found: Found): Readonly<Record<string, string>> {
  if (found.kind === 'host') return found.host.labels;
  return found.kind === 'allowed' ? found.allowed.labels : {};
}

/** Item by item, in order: what is wrong with one does not keep the others out. */
async function allowHosts(hosts: Hosts, { hosts: wanted }: AllowHostsRequest, call: ApiCall, view: HostView) {
  if (wanted.length > MAX_BATCH) {
    throw new TouchmarkError('argument_invalid', `hosts: ${wanted.length} at once; at most ${MAX_BATCH}`);
  }
  const results = [];
  for (const item of wanted) results.push(await allowOne(hosts, item, call, view));
  call.audit({ count: wanted.length });
  return create(AllowHostsResponseSchema, { results });
}

async function allowOne(hosts: Hosts, { ekHash, name, labels }: AllowedHost, call: ApiCall, view: HostView) {
  try {
    const host = hostToWire(await hosts.allow({ ekHash, name, labels }, byWhom(call)), view);
    return create(AllowHostsResponse_ResultSchema, { status: okStatus(), host });
  } catch (error) {
    if (!(error instanceof TouchmarkError)) throw error;
    return create(AllowHostsResponse_ResultSchema, { status: statusOf(error) });
  }
}
