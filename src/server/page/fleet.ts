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
  /** Hosts after this place, as `placeOf` writes it; anything else: from the first one on. */
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
  const after = place(view.after);
  const rest = rows
    .filter((row) => view.state === undefined || row.state === view.state)
    .sort(inOrder)
    .filter((row) => after === undefined || inOrder(after, row) < 0);
  const page = rest.slice(0, HOSTS_PER_PAGE);
  return html`<h1>Fleet</h1>${tiles(rows)}
${page.length === 0 ? html`<p class="note">${noneOf(view, after !== undefined)}</p>` : table(page)}
${rest.length > page.length ? more(view, page.at(-1)) : undefined}`;
}

function noneOf({ state }: FleetView, later: boolean): string {
  if (later) return 'No further hosts.';
  return state === undefined ? 'No host has enrolled yet.' : `No host is ${state}.`;
}

/** Where a row stands; it says so even after the host has left that place, so that nobody begins again with the first page. */
type Place = Pick<Row, 'state'> & { readonly host: Pick<Host, 'id'> };

function inOrder(a: Place, b: Place): number {
  if (a.state !== b.state) return stateOrder.indexOf(a.state) - stateOrder.indexOf(b.state);
  return a.host.id === b.host.id ? 0 : a.host.id < b.host.id ? -1 : 1;
}

function placeOf({ state, host }: Place): string {
  return `${state}.${host.id}`;
}

function place(text: string): Place | undefined {
  const [word, id] = text.split('.', 2);
  const state = stateOrder.find((one) => one === word);
  return state === undefined || id === undefined ? undefined : { state, host: { id } };
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

function more({ state }: FleetView, last: Place | undefined): Html {
  const filter = state === undefined ? '' : `&state=${state}`;
  return html`<nav class="pages"><a href="/?after=${last && placeOf(last)}${filter}">Next hosts</a></nav>`;
}
