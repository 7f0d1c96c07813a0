import { type ChainEvent, type ChainLogs, chainEvents } from './chain-events.js';
import { type ChainLink, chainLinks, type Judgement } from './chain-links.js';
import { type Html, html } from './html.js';
import { badge, shortHex } from './layout.js';
import { type Marks, markCodes, marksOf, reasonPlace, rowId } from './reason-place.js';

export interface ChainView extends ChainLogs, Judgement {
  readonly hostId: string;
}

/** Rows of one link; what a reason names is shown beside these. */
const EVENTS_SHOWN = 300;

/** The boot, drawn link by link. What the events say of themselves is text that nobody vouches for; the digests count. */
export function chainSection(view: ChainView): Html {
  const { events, notes } = chainEvents(view);
  const unknown =
    events.length > 0 && view.pcrs === undefined
      ? ['Whether the registers hold what these logs tell is not known now.']
      : [];
  const told = [...notes, ...unknown].map((note) => html`<p class="note">${note}</p>`);
  if (events.length === 0) return html`${told}`;
  const marks = marksOf(view.components.flatMap(({ reasons }) => reasons));
  const items = chainLinks(events, view).map((link) => drawn(link, view.hostId, marks));
  return html`${told}<ol class="chain" id="chain">${items}</ol>`;
}

function drawn(link: ChainLink, hostId: string, marks: Marks): Html {
  const { title, pcrs, broken, components, events } = link;
  const badges = components.map(
    ({ component, result }) => html`<span class="part">${component} ${badge(result)}</span>`,
  );
  const details = html`<summary>${events.length} measured events</summary>${table(events, marks)}`;
  return html`<li class="${broken ? 'broken' : 'whole'}"><h3>${title}${badges}<small>PCR ${pcrs.join(', ')}</small></h3>
${faults(link, hostId)}${broken ? html`<details open>${details}</details>` : html`<details>${details}</details>`}</li>`;
}

function faults({ components, unexplained }: ChainLink, hostId: string): Html | undefined {
  const items = [
    ...unexplained.map((pcr) => html`<li>PCR ${pcr} holds something else than the logs tell</li>`),
    ...components.flatMap(({ reasons }) =>
      reasons.map((reason) => html`<li><code>${reason.code}</code> ${reasonPlace(hostId, reason)}</li>`),
    ),
  ];
  return items.length === 0 ? undefined : html`<ul class="reasons">${items}</ul>`;
}

function table(events: readonly ChainEvent[], marks: Marks): Html {
  const shown = events.filter((event, at) => at < EVENTS_SHOWN || marks.has(idOf(event)));
  const rows = shown.map((event) => row(event, marks.get(idOf(event))));
  const more = events.length - shown.length;
  const rest = more > 0 ? html`<p class="note">and ${more} more</p>` : undefined;
  return html`<table><thead><tr><th>#</th><th>PCR</th><th>Type</th><th>Digest</th><th>What it says</th></tr></thead>
<tbody>${rows}</tbody></table>${rest}`;
}

function idOf({ log, index }: ChainEvent): string {
  return rowId(log, index);
}

function row(event: ChainEvent, codes: readonly string[] | undefined): Html {
  const { index, pcr, type, digest, text } = event;
  return html`<tr id="${idOf(event)}" class="${codes === undefined ? 'event' : 'marked'}"><td>${index}</td><td>${pcr}</td>
<td><code>${type}</code></td><td>${shortHex(digest)}</td><td class="mono">${markCodes(codes)}${text}</td></tr>`;
}
