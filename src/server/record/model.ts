/** What the record of events is made of. Times are Unix milliseconds. */

/** Texts and lists of texts, bounded; never a secret. */
export type EventFields = Readonly<Record<string, string | readonly string[]>>;

/** What happened, before it has a place in the log. */
export interface EventDraft {
  /** One of `recordEvents`. */
  readonly name: string;
  /** What it happened to: a host, an entry, a node, an authority. */
  readonly subject: string;
  readonly fields: EventFields;
}

/** The events of one commit: written to the datastore in the very batch that they are about, and moved to the log afterwards. */
export interface EventRecord {
  readonly at: number;
  /** Who asked for it: `uid 0`, a SPIFFE ID, `address 192.0.2.7`, or `server`. */
  readonly by: string;
  readonly events: readonly EventDraft[];
}

/** One line of the log. */
export interface RecordedEvent extends EventDraft {
  /** From 1, without gaps. */
  readonly seq: number;
  readonly at: number;
  readonly by: string;
  /** The commit that it is about; for what the log says of itself, the newest one before. */
  readonly storeRevision: number;
  /** Hex hash of the line before; of the first line: 64 zeros. */
  readonly prev: string;
  readonly hash: string;
}

/** The last line of a log, or the place at which one begins. */
export interface ChainHead {
  readonly seq: number;
  readonly hash: string;
}

export const GENESIS: ChainHead = { seq: 0, hash: '0'.repeat(64) };

/** In bytes as they are written, escapes included: what one character of a host becomes is up to that host. */
export const limits = {
  /** No longer line is written. */
  line: 64 * 1024,
  /** None longer than this is read: lines were written once that were bounded by their characters. */
  readLine: 1024 * 1024,
  text: 1024,
  subject: 2100,
  items: 20,
} as const;

/** Cuts what comes from outside to size; `text` is for each text of it. */
export function boundedFields(
  fields: Readonly<Record<string, EventFields[string] | undefined>>,
  text: number = limits.text,
): EventFields {
  const out: Record<string, string | readonly string[]> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    const cut = (one: string) => cutText(one, text);
    out[name] = typeof value === 'string' ? cut(value) : value.slice(0, limits.items).map(cut);
  }
  return out;
}

/** Whole characters only, and a sign that there were more. */
export function cutText(text: string, most: number): string {
  if (text.length <= most && writtenBytes(text) <= most) return text;
  let kept = '';
  let bytes = writtenBytes(MORE);
  for (const character of text) {
    bytes += writtenBytes(character);
    if (bytes > most) break;
    kept += character;
  }
  return kept + MORE;
}

const MORE = '…';

function writtenBytes(text: string): number {
  return Buffer.byteLength(JSON.stringify(text)) - 2;
}
