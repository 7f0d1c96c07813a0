/** What can be looked at, and nothing that changes anything: every path by name, everything else is not found. */
import type { Logger } from '../../log.js';
import { remedyOf } from '../../measure/appraise/reasons.js';
import type { TrustDomain } from '../../spiffe/id.js';
import type { Registry } from '../contract.js';
import { tpmNodeId } from '../hosts/selectors.js';
import { shownState } from '../hosts/state.js';
import type { Measurements } from '../measurements/contract.js';
import type { AppraisalRecord, Host, HostState } from '../model.js';
import type { Sessions } from '../sessions/contract.js';
import type { ChainView } from './chain.js';
import { explainedRegisters, type KeptEvidence, keptEvidence, logBytes } from './evidence.js';
import { fleetPage, stateOrder } from './fleet.js';
import { hostPage } from './host.js';
import { type Html, html } from './html.js';
import { document } from './layout.js';
import { runtimeSection } from './runtime.js';
import { style } from './style.js';

export interface PageDeps {
  readonly log: Logger;
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
  const { archive } = deps.measurements;
  const kept = await keptEvidence({ archive, log: deps.log }, id, HISTORY_SHOWN);
  return page(
    deps,
    nameOf(host),
    runtime === undefined ? oneHost(deps, host, kept) : await list(deps, host, kept, url),
  );
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

function oneHost(deps: PageDeps, host: Host, kept: KeptEvidence): Html {
  const current = deps.measurements.current(host.id);
  const appraisal = current?.record ?? host.appraisal;
  const pcrs = current?.appraisal?.explanation.pcrs ?? (kept.latest && explainedRegisters(kept.latest));
  return hostPage({
    ...{ host, state: shownState(host, isLive(deps, host)), appraisal, remedyOf },
    lastEvidenceAt: lastEvidence(deps, host),
    chain: chainOf(host, appraisal, kept, pcrs),
    imaEntries: current?.appraisal?.confirmed.imaEntries ?? 0,
    ...{ history: kept.history, note: kept.note },
  });
}

function chainOf(
  host: Host,
  appraisal: AppraisalRecord | undefined,
  { latest }: KeptEvidence,
  pcrs: ChainView['pcrs'],
): ChainView {
  const logs = latest?.evidence.logs;
  return {
    hostId: host.id,
    ...{ bootLog: logs?.['boot-log'], userspaceLog: logs?.['userspace-log'] },
    bank: latest?.record.bank ?? 'sha256',
    components: appraisal?.components ?? [],
    // A policy that only reports leaves every host unmeasured.
    enforced: appraisal !== undefined && appraisal.verdict !== 'unmeasured',
    pcrs,
  };
}

async function list(deps: PageDeps, host: Host, { latest, note }: KeptEvidence, url: URL): Promise<Html> {
  const judged = (deps.measurements.current(host.id)?.record ?? host.appraisal)?.components ?? [];
  const after = Number.parseInt(url.searchParams.get('after') ?? '0', 10) || 0;
  const shown = await runtimeSection({
    ...{ hostId: host.id, after, list: logBytes(latest, 'ima-list') ?? new Uint8Array() },
    reasons: judged.flatMap(({ reasons }) => reasons),
  });
  const told = note === undefined ? undefined : html`<p class="note">${note}</p>`;
  return html`<h1><a href="/hosts/${host.id}">${nameOf(host)}</a></h1><h2>Run-time list</h2>${told}${shown}`;
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
