/** Lines of the log: one event each, as JSON with its members in one order, and the hash over exactly these bytes. Pure. */
import { createHash } from 'node:crypto';
import { messageOf, TouchmarkError } from '../../errors.js';
import {
  boundedFields,
  type ChainHead,
  type EventDraft,
  type EventFields,
  limits,
  type RecordedEvent,
} from './model.js';

/** What the hash is for: it cannot be shown as anything else. */
const DOMAIN = 'touchmark-record-v1\n';
/** `,"hash":"…"}`: what follows the hashed part, which ends in `}` itself. */
const TAIL = /^,"hash":"([0-9a-f]{64})"\}$/;
const TAIL_BYTES = 75;
const HEX = /^[0-9a-f]{64}$/;
const NAME = /^[a-z][a-z0-9_]{0,63}$/;

interface Origin {
  readonly at: number;
  readonly by: string;
  readonly storeRevision: number;
}

interface NextLine {
  readonly event: RecordedEvent;
  readonly line: Buffer;
}

/** The next line after `head`, without its line feed; its texts are cut until it is one that every reader takes. */
export function nextLine(head: ChainHead, draft: EventDraft, origin: Origin): NextLine {
  let next = lineOf(head, draft, origin);
  for (let text = limits.text; next.line.length > limits.line && text > 1; text /= 2) {
    next = lineOf(head, { ...draft, fields: boundedFields(draft.fields, text) }, origin);
  }
  return next;
}

function lineOf(head: ChainHead, { name, subject, fields }: EventDraft, origin: Origin): NextLine {
  const content = { ...origin, seq: head.seq + 1, name, subject, fields, prev: head.hash };
  const body = bodyOf(content);
  const hash = hashOf(Buffer.from(body.slice(0, -1), 'utf8'));
  const line = Buffer.from(`${body.slice(0, -1)},"hash":"${hash}"}`, 'utf8');
  return { event: { ...content, hash }, line };
}

/**
 * Reads a line and recomputes its hash over the bytes as they are. Does NOT establish that it follows the line before it, nor
 * that anybody vouches for it.
 * @throws TouchmarkError `record_line_invalid`
 */
export function parseLine(line: Buffer): RecordedEvent {
  const cut = line.length - TAIL_BYTES;
  const stored = cut > 0 ? TAIL.exec(line.toString('latin1', cut))?.[1] : undefined;
  if (stored === undefined) throw invalid('does not end in its hash');
  const hashed = line.subarray(0, cut);
  if (hashOf(hashed) !== stored) throw invalid('does not have the hash that it names');
  const text = `${hashed.toString('utf8')}}`;
  const event = { ...readBody(text), hash: stored };
  if (bodyOf(event) !== text) throw invalid('is not written as this log writes');
  return event;
}

function bodyOf(event: Omit<RecordedEvent, 'hash'>): string {
  const { seq, at, name, subject, by, fields, storeRevision, prev } = event;
  const sorted = Object.fromEntries(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)));
  return JSON.stringify({ seq, at, name, subject, by, fields: sorted, store_revision: storeRevision, prev });
}

function hashOf(body: Uint8Array): string {
  return createHash('sha256').update(DOMAIN).update(body).update('}').digest('hex');
}

function readBody(text: string): Omit<RecordedEvent, 'hash'> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid(`is not JSON: ${messageOf(cause)}`);
  }
  if (typeof value !== 'object' || value === null) throw invalid('is not an object');
  const map = new Map<string, unknown>(Object.entries(value));
  const prev = textOf(map, 'prev');
  const name = textOf(map, 'name');
  if (!HEX.test(prev)) throw invalid('has no hash of the line before');
  if (!NAME.test(name)) throw invalid('has no name');
  return {
    seq: numberOf(map, 'seq'),
    at: numberOf(map, 'at'),
    name,
    subject: textOf(map, 'subject'),
    by: textOf(map, 'by'),
    fields: fieldsOf(map.get('fields')),
    storeRevision: numberOf(map, 'store_revision'),
    prev,
  };
}

function fieldsOf(value: unknown): EventFields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid('has no fields');
  for (const one of Object.values(value)) {
    const texts: unknown[] = Array.isArray(one) ? one : [one];
    if (!texts.every((text) => typeof text === 'string')) throw invalid('has a field that is not text');
  }
  return value as EventFields;
}

function textOf(map: ReadonlyMap<string, unknown>, member: string): string {
  const value = map.get(member);
  if (typeof value !== 'string') throw invalid(`has no text as ${member}`);
  return value;
}

function numberOf(map: ReadonlyMap<string, unknown>, member: string): number {
  const value = map.get(member);
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw invalid(`has no whole number as ${member}`);
  }
  return value;
}

function invalid(why: string): TouchmarkError {
  return new TouchmarkError('record_line_invalid', `a line of the record ${why}`);
}
