/** What can be looked at, and nothing that changes anything: every path by name, everything else is not found. */
import type { BootState, LogPart } from '../../measure/appraise/contract.js';
import { remedyOf } from '../../measure/appraise/reasons.js';
import type { TrustDomain } from '../../spiffe/id.js';
import type { Registry } from '../contract.js';
import { tpmNodeId } from '../hosts/selectors.js';
import { shownState } from '../hosts/state.js';
import type { ArchivedEvidence, Measurements } from '../measurements/contract.js';
import type { Host, HostState } from '../model.js';
import type { Sessions } from '../sessions/contract.js';
import type { ChainView } from './chain.js';
import { fleetPage, stateOrder } from './fleet.js';
import { hostPage } from './host.js';
import { html } from './html.js';
import { document } from './layout.js';
import { runtimeSection } from './runtime.js';
import { style } from './style.js';

export interface PageDeps {
  readonly trustDomain: TrustDomain;
  readonly registry: Pick<Registry, 'host' | 'hosts'>;
  readonly sessions: Pick<Sessions, 'isLive'>;
  readonly measurements: Pick<Measurements, 'archive' | 'current' | 'lastEvidenceAt'>;
}

export interface PageAnswer {
  readonly status: 200 | 404;
  readonly type: 'text/html; charset=utf-8' | 'text/css; charset=utf-8';
  readonly body: string;
}

const HISTORY_SHOWN = 50;
const hostPath = /^\/hosts\/([0-9a-f]{64})(\/runtime)?$/;

/** @param url path and query; whatever it says is looked up, never interpreted */
export async function answerPage(deps: PageDeps, url: URL): Promise<PageAnswer> {
  if (url.pathname === '/style.css') return { status: 200, type: 'text/css; charset=utf-8', body: style };
  if (url.pathname === '/') return page(deps, 'Fleet', fleet(deps, url));
  const [, id = '', runtime] = hostPath.exec(url.pathname) ?? [];
  const host = deps.registry.host(id);
  if (host === undefined) return { ...page(deps, 'Not found', notFound), status: 404 };
  const evidence = await deps.measurements.archive.latest(id);
  if (runtime === undefined) return page(deps, nameOf(host), await oneHost(deps, host, evidence));
  const list = bytesOf(evidence?.evidence.logs['ima-list']) ?? new Uint8Array();
  const after = Number.parseInt(url.searchParams.get('after') ?? '0', 10) || 0;
  const heading = html`<h1><a href="/hosts/${id}">${nameOf(host)}</a></h1><h2>Run-time list</h2>`;
  return page(deps, nameOf(host), html`${heading}${runtimeSection(id, list, after)}`);
}

const notFound = html`<h1>Not found</h1><p>There is no such page. <a href="/">Look at the fleet.</a></p>`;

function page({ trustDomain }: PageDeps, title: string, content: ReturnType<typeof html>): PageAnswer {
  const body = document(title, trustDomain, content);
  return { status: 200, type: 'text/html; charset=utf-8', body };
}

function fleet(deps: PageDeps, url: URL) {
  const asked = url.searchParams.get('state');
  const hosts = [...deps.registry.hosts()].map((host) => ({
    host,
    sessionLive: isLive(deps, host),
    lastEvidenceAt: lastEvidence(deps, host),
  }));
  const state = stateOrder.find((one: HostState) => one === asked);
  return fleetPage({ hosts, state, after: url.searchParams.get('after') ?? '' });
}

async function oneHost(deps: PageDeps, host: Host, evidence: ArchivedEvidence | undefined) {
  const current = deps.measurements.current(host.id);
  const confirmed = current?.appraisal?.newState satisfies BootState | undefined;
  return hostPage({
    host,
    state: shownState(host, isLive(deps, host)),
    appraisal: current?.record ?? host.appraisal,
    lastEvidenceAt: lastEvidence(deps, host),
    chain: chainOf(host, evidence, current?.appraisal?.explanation.pcrs ?? []),
    imaEntries: confirmed?.confirmed.imaEntries ?? 0,
    history: await deps.measurements.archive.history(host.id, HISTORY_SHOWN),
    remedyOf,
  });
}

function chainOf(host: Host, evidence: ArchivedEvidence | undefined, pcrs: ChainView['pcrs']): ChainView {
  const logs = evidence?.evidence.logs;
  return {
    bootLog: bytesOf(logs?.['boot-log']),
    userspaceLog: bytesOf(logs?.['userspace-log']),
    bank: evidence?.record.bank ?? 'sha256',
    components: host.appraisal?.components ?? evidence?.record.components ?? [],
    pcrs,
  };
}

function bytesOf(part: LogPart | undefined): Uint8Array | undefined {
  return part?.kind === 'bytes' ? part.bytes : undefined;
}

function isLive({ trustDomain, sessions }: PageDeps, host: Host): boolean {
  return sessions.isLive(tpmNodeId(trustDomain, host.id));
}

function lastEvidence({ measurements }: PageDeps, host: Host): number {
  return measurements.lastEvidenceAt(host.id) || (host.lastQuote?.at ?? 0);
}

function nameOf({ name, id }: Host): string {
  return name === '' ? id : name;
}
