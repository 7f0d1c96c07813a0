import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ComponentReason } from '../../measure/appraise/contract.js';
import { parseImaBinary } from '../../measure/ima/ima-binary.js';
import { type ImaEntry, readImaEntry } from '../../measure/ima/ima-entry.js';
import { briefText } from '../../measure/path-text.js';
import { type Html, html } from './html.js';
import { shortHex } from './layout.js';
import { ENTRIES_PER_PAGE, type Marks, markCodes, marksOf, rowId } from './reason-place.js';

export interface RuntimeView {
  readonly hostId: string;
  readonly list: Uint8Array;
  /** Entries after this one. */
  readonly after: number;
  readonly reasons: readonly ComponentReason[];
}

/** The run-time list, as far as quotes vouch for it, page by page; what a reason names is marked. */
export async function runtimeSection({ hostId, list, after, reasons }: RuntimeView): Promise<Html> {
  const { entries, more } = await pageOf(list, after);
  const marks = marksOf(reasons);
  const to = (entry: number, words: string) =>
    html`<a href="/hosts/${hostId}/runtime?after=${entry}">${words}</a>`;
  const previous = after > 0 ? to(Math.max(0, after - ENTRIES_PER_PAGE), 'Previous entries') : undefined;
  const next = more ? to(entries.at(-1)?.event ?? after, 'Next entries') : undefined;
  const shown = entries.length === 0 ? html`<p class="note">No further entries.</p>` : table(entries, marks);
  return html`${shown}<nav class="pages">${previous}${next}</nav>`;
}

function table(entries: readonly ImaEntry[], marks: Marks): Html {
  const rows = entries.map((entry) => row(entry, marks.get(rowId('ima-list', entry.event))));
  return html`<table id="runtime"><thead><tr><th>#</th><th>Path</th><th>Digest</th><th></th></tr></thead>
<tbody>${rows}</tbody></table>`;
}

function row(entry: ImaEntry, codes: readonly string[] | undefined): Html {
  const { event, path, fileDigest, violation, signature, template } = entry;
  const digest = fileDigest === undefined ? '' : Buffer.from(fileDigest.digest).toString('hex');
  const facts = [
    ...(violation ? ['written to while it was measured'] : []),
    ...(signature === undefined ? [] : ['signed']),
    ...(entry.problem === undefined ? [] : [entry.problem]),
    ...(fileDigest?.of === 'verity' ? ['fs-verity'] : []),
  ];
  const name = path === undefined ? `(${template})` : briefText(path.bytes);
  const kind = codes === undefined ? (violation ? 'warn' : 'entry') : 'marked';
  return html`<tr id="${rowId('ima-list', event)}" class="${kind}"><td>${event}</td><td class="mono">${markCodes(codes)}${name}</td>
<td>${shortHex(digest)}</td><td>${facts.join(', ')}</td></tr>`;
}

/** Entries that are gone past at once: some milliseconds. */
const PER_TURN = 5000;

/**
 * Stops as soon as the page is full, and lets other work go on meanwhile: a list may have hundreds of thousands of entries. A
 * thread would have to be handed all its bytes first, which takes longer than any of these turns.
 */
async function pageOf(list: Uint8Array, after: number): Promise<{ entries: ImaEntry[]; more: boolean }> {
  const entries: ImaEntry[] = [];
  try {
    for (const record of parseImaBinary(list)) {
      if (record.event % PER_TURN === 0) await nextTurn();
      if (record.event <= after) continue;
      if (entries.length === ENTRIES_PER_PAGE) return { entries, more: true };
      entries.push(readImaEntry(record));
    }
  } catch {
    // What was read so far is shown; the judgement says what is wrong with the rest.
  }
  return { entries, more: false };
}
