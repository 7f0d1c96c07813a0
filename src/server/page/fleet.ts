import { shownState } from '../hosts/state.js';
import type { Host, HostState } from '../model.js';
import { type Html, html } from './html.js';
import { badge, moment, reasonList } from './layout.js';

export interface FleetHost {
  readonly host: Host;
  readonly sessionLive: boolean;
  /** Unix milliseconds, 0: none. */
  readonly lastEvidenceAt: number;
}

export interface FleetView {
  readonly hosts: Iterable<FleetHost>;
  /** Show these only. */
  readonly state: HostState | undefined;
  /** Hosts after this ID. */
  readonly after: string;
}

export const HOSTS_PER_PAGE = 200;

/** Worst first: what needs somebody stands on top. */
export const stateOrder: readonly HostState[] = [
  'drifted',
  'quarantined',
  'banned',
  'suspect',
  'stale',
  'pending',
  'unmeasured',
  'trusted',
  'retired',
];

interface Row extends FleetHost {
  readonly state: HostState;
}

/** The fleet by state, and its hosts. */
export function fleetPage(view: FleetView): Html {
  const rows = [...view.hosts].map((one): Row => ({ ...one, state: shownState(one.host, one.sessionLive) }));
  const shown = rows
    .filter((row) => view.state === undefined || row.state === view.state)
    .sort((a, b) => rank(a) - rank(b) || (a.host.id < b.host.id ? -1 : 1));
  const from = view.after === '' ? 0 : shown.findIndex(({ host }) => host.id === view.after) + 1;
  const page = shown.slice(from, from + HOSTS_PER_PAGE);
  return html`<h1>Fleet</h1>${tiles(rows)}
${page.length === 0 ? html`<p class="note">No host ${view.state === undefined ? 'has enrolled yet' : `is ${view.state}`}.</p>` : table(page)}
${shown.length > from + page.length ? more(view, page.at(-1)?.host.id ?? '') : undefined}`;
}

function rank({ state }: Row): number {
  return stateOrder.indexOf(state);
}

function tiles(rows: readonly Row[]): Html {
  const counts = new Map<HostState, number>();
  for (const { state } of rows) counts.set(state, (counts.get(state) ?? 0) + 1);
  const items = stateOrder
    .filter((state) => counts.has(state))
    .map(
      (state) =>
        html`<li><a href="/?state=${state}"><b class="${state}">${counts.get(state)}</b>${state}</a></li>`,
    );
  return html`<ul class="tiles"><li><a href="/"><b>${rows.length}</b>all</a></li>${items}</ul>`;
}

function table(rows: readonly Row[]): Html {
  const lines = rows.map(
    ({ host, state, lastEvidenceAt }) => html`<tr>
<td><a href="/hosts/${host.id}">${host.name === '' ? `${host.id.slice(0, 16)}…` : host.name}</a></td>
<td>${badge(state)}</td><td>${moment(host.stateSince)}</td>
<td>${host.appraisal?.policyName ?? ''}</td><td>${moment(lastEvidenceAt)}</td>
<td>${reasonList(host.reasons.slice(0, 3))}</td></tr>`,
  );
  return html`<table id="hosts"><thead><tr><th>Host</th><th>State</th><th>Since</th><th>Policy</th><th>Last evidence</th><th>Reasons</th></tr></thead>
<tbody>${lines}</tbody></table>`;
}

function more({ state }: FleetView, last: string): Html {
  const filter = state === undefined ? '' : `&state=${state}`;
  return html`<nav class="pages"><a href="/?after=${last}${filter}">Next hosts</a></nav>`;
}
