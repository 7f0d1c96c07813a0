import type { ComponentReason, LogKind } from '../../measure/appraise/contract.js';
import { type Html, html } from './html.js';

export const ENTRIES_PER_PAGE = 200;

/** What a row of a log has as its ID. */
export function rowId(log: LogKind, event: number): string {
  return `${log}-${event}`;
}

/** Where a reason lies, with the way to its row. */
export function reasonPlace(hostId: string, { log, event }: ComponentReason): Html | undefined {
  if (log === undefined) return undefined;
  if (event === undefined) return html`(${log})`;
  return html`(<a href="${pathOf(hostId, log, event)}">${log}, entry ${event}</a>)`;
}

function pathOf(hostId: string, log: LogKind, event: number): string {
  const after = Math.floor((event - 1) / ENTRIES_PER_PAGE) * ENTRIES_PER_PAGE;
  const page = log === 'ima-list' ? `/runtime?after=${after}` : '';
  return `/hosts/${hostId}${page}#${rowId(log, event)}`;
}

/** The codes of reasons by the row that they name. */
export type Marks = ReadonlyMap<string, readonly string[]>;

export function marksOf(reasons: readonly ComponentReason[]): Marks {
  const marks = new Map<string, string[]>();
  for (const { log, event, code } of reasons) {
    if (log === undefined || event === undefined) continue;
    const id = rowId(log, event);
    const known = marks.get(id) ?? [];
    if (!known.includes(code)) marks.set(id, [...known, code]);
  }
  return marks;
}

/** The codes that mark a row, to stand before what the row says. */
export function markCodes(codes: readonly string[] | undefined): Html[] {
  return (codes ?? []).map((code) => html`<code class="mark">${code}</code> `);
}
