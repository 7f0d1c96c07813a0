import { TouchmarkError } from '../errors.js';

/** A JSON value read exactly: an integer that a double cannot hold is a bigint. Objects have no prototype. */
export type JsonValue = null | boolean | number | bigint | string | JsonValue[] | JsonObject;
export interface JsonObject {
  [name: string]: JsonValue;
}

export interface JsonOptions {
  /** In bytes for bytes, in characters for text. */
  readonly maxLength?: number;
  readonly maxDepth?: number;
  /** Give every integer literal as a bigint, so that `1` can be told from `1.0` and `1e0`. */
  readonly bigIntegers?: boolean;
}

interface Scanner {
  readonly text: string;
  readonly maxDepth: number;
  readonly bigIntegers: boolean;
  offset: number;
}

const MAX_LENGTH = 1024 * 1024;
const MAX_DEPTH = 32;
const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
const SPACE = /[ \t\n\r]*/y;
const MAX_INTEGER_DIGITS = 64;

/**
 * Reads one JSON value (RFC 8259) where `JSON.parse` would hide something: repeated names, integers beyond 2^53, overflowing
 * numbers, lone surrogates and broken UTF-8 are all refused or kept exactly.
 * @throws TouchmarkError `json_invalid`
 */
export function parseJson(input: string | Uint8Array, options: JsonOptions = {}): JsonValue {
  const limit = options.maxLength ?? MAX_LENGTH;
  if (input.length > limit)
    throw new TouchmarkError('json_invalid', `the JSON is longer than ${limit} bytes`);
  const text = typeof input === 'string' ? input : decodeUtf8(input);
  const scanner: Scanner = {
    text,
    maxDepth: options.maxDepth ?? MAX_DEPTH,
    bigIntegers: options.bigIntegers ?? false,
    offset: 0,
  };
  const value = readValue(scanner, 0);
  skipSpace(scanner);
  if (scanner.offset !== text.length) throw invalid(scanner, 'has something after its end');
  return value;
}

/** `parseJson` for where an object is expected. */
export function parseJsonObject(input: string | Uint8Array, options: JsonOptions = {}): JsonObject {
  const value = parseJson(input, options);
  if (!isJsonObject(value)) throw new TouchmarkError('json_invalid', 'the JSON is not an object');
  return value;
}

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Writes JSON without white space; bigints as integer literals. */
export function writeJson(value: JsonValue): string {
  if (typeof value === 'bigint') return value.toString();
  if (Array.isArray(value)) return `[${value.map(writeJson).join(',')}]`;
  if (!isJsonObject(value)) return JSON.stringify(value);
  const members = Object.entries(value).map(
    ([name, member]) => `${JSON.stringify(name)}:${writeJson(member)}`,
  );
  return `{${members.join(',')}}`;
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new TouchmarkError('json_invalid', 'the JSON is not in UTF-8', { cause });
  }
}

function readValue(scanner: Scanner, depth: number): JsonValue {
  if (depth > scanner.maxDepth) throw invalid(scanner, `is nested more than ${scanner.maxDepth} deep`);
  skipSpace(scanner);
  const char = scanner.text[scanner.offset];
  if (char === '{') return readObject(scanner, depth);
  if (char === '[') return readArray(scanner, depth);
  if (char === '"') return readString(scanner);
  if (char === 't') return readWord(scanner, 'true', true);
  if (char === 'f') return readWord(scanner, 'false', false);
  if (char === 'n') return readWord(scanner, 'null', null);
  return readNumber(scanner);
}

function readObject(scanner: Scanner, depth: number): JsonObject {
  const object: JsonObject = Object.create(null);
  scanner.offset += 1;
  if (take(scanner, '}')) return object;
  do {
    skipSpace(scanner);
    const name = readString(scanner);
    if (name in object) throw invalid(scanner, `has the name ${JSON.stringify(name.slice(0, 64))} twice`);
    if (!take(scanner, ':')) throw invalid(scanner, 'lacks a colon');
    object[name] = readValue(scanner, depth + 1);
  } while (take(scanner, ','));
  if (!take(scanner, '}')) throw invalid(scanner, 'has an object that does not end');
  return object;
}

function readArray(scanner: Scanner, depth: number): JsonValue[] {
  const array: JsonValue[] = [];
  scanner.offset += 1;
  if (take(scanner, ']')) return array;
  do array.push(readValue(scanner, depth + 1));
  while (take(scanner, ','));
  if (!take(scanner, ']')) throw invalid(scanner, 'has an array that does not end');
  return array;
}

/** Finds the end of the literal, and leaves its escapes to JSON.parse, which is exact for a single string. */
function readString(scanner: Scanner): string {
  const { text, offset } = scanner;
  if (text[offset] !== '"') throw invalid(scanner, 'lacks a string');
  let end = offset + 1;
  while (end < text.length && text[end] !== '"') end += text[end] === '\\' ? 2 : 1;
  let value: string;
  try {
    value = JSON.parse(text.slice(offset, end + 1));
  } catch {
    throw invalid(scanner, 'has a string that is not well formed');
  }
  if (/\p{Surrogate}/u.test(value)) throw invalid(scanner, 'has half of a surrogate pair in a string');
  scanner.offset = end + 1;
  return value;
}

function readNumber(scanner: Scanner): number | bigint {
  NUMBER.lastIndex = scanner.offset;
  const match = NUMBER.exec(scanner.text);
  if (match === null) throw invalid(scanner, 'has no value where one belongs');
  const [literal, fraction, exponent] = match;
  const value = Number(literal);
  if (!Number.isFinite(value)) throw invalid(scanner, 'has a number that is too large');
  scanner.offset += literal.length;
  if (fraction !== undefined || exponent !== undefined || literal === '-0') return value;
  if (literal.length > MAX_INTEGER_DIGITS) throw invalid(scanner, 'has an integer that is too long');
  return scanner.bigIntegers || !Number.isSafeInteger(value) ? BigInt(literal) : value;
}

function readWord<T extends JsonValue>(scanner: Scanner, word: string, value: T): T {
  if (!scanner.text.startsWith(word, scanner.offset)) throw invalid(scanner, 'has an unknown word');
  scanner.offset += word.length;
  return value;
}

function take(scanner: Scanner, char: string): boolean {
  skipSpace(scanner);
  if (scanner.text[scanner.offset] !== char) return false;
  scanner.offset += 1;
  return true;
}

function skipSpace(scanner: Scanner): void {
  SPACE.lastIndex = scanner.offset;
  SPACE.exec(scanner.text);
  scanner.offset = SPACE.lastIndex;
}

function invalid(scanner: Scanner, why: string): TouchmarkError {
  return new TouchmarkError('json_invalid', `the JSON ${why} (at character ${scanner.offset})`);
}
