import { parseImaBinary } from '../../measure/ima/ima-binary.js';
import { type ImaEntry, readImaEntry } from '../../measure/ima/ima-entry.js';
import { type Html, html } from './html.js';
import { shortHex } from './layout.js';

export const ENTRIES_PER_PAGE = 200;

/** The run-time list, as far as quotes vouch for it, from entry `after + 1` on. */
export function runtimeSection(hostId: string, list: Uint8Array, after: number): Html {
  const { entries, more } = pageOf(list, after);
  if (entries.length === 0) return html`<p class="note">No further entries.</p>`;
  const last = entries.at(-1)?.event ?? after;
  const next = more ? html`<a href="/hosts/${hostId}/runtime?after=${last}">Next entries</a>` : undefined;
  return html`<table id="runtime"><thead><tr><th>#</th><th>Path</th><th>Digest</th><th></th></tr></thead>
<tbody>${entries.map(row)}</tbody></table><nav class="pages">${next}</nav>`;
}

function row(entry: ImaEntry): Html {
  const { event, path, fileDigest, violation, signature, template } = entry;
  const digest = fileDigest === undefined ? '' : Buffer.from(fileDigest.digest).toString('hex');
  const marks = [
    ...(violation ? ['written to while it was measured'] : []),
    ...(signature === undefined ? [] : ['signed']),
    ...(entry.problem === undefined ? [] : [entry.problem]),
    ...(fileDigest?.of === 'verity' ? ['fs-verity'] : []),
  ];
  return html`<tr class="${violation ? 'warn' : 'entry'}"><td>${event}</td><td class="mono">${path?.text ?? `(${template})`}</td>
<td>${shortHex(digest)}</td><td>${marks.join(', ')}</td></tr>`;
}

/** Stops as soon as the page is full: a list may have a hundred thousand entries. */
function pageOf(list: Uint8Array, after: number): { entries: ImaEntry[]; more: boolean } {
  const entries: ImaEntry[] = [];
  try {
    for (const record of parseImaBinary(list)) {
      if (record.event <= after) continue;
      if (entries.length === ENTRIES_PER_PAGE) return { entries, more: true };
      entries.push(readImaEntry(record));
    }
  } catch {
    // What was read so far is shown; the judgement says what is wrong with the rest.
  }
  return { entries, more: false };
}
