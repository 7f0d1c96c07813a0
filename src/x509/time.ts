import { TouchmarkError } from '../errors.js';
import { type DerElement, tag, text } from './der.js';

const UTC_TIME_START = Date.UTC(1950, 0, 1) / 1000;
const UTC_TIME_END = Date.UTC(2050, 0, 1) / 1000;
const GENERALIZED_END = Date.UTC(10000, 0, 1) / 1000;

/** Encodes Unix seconds: UTCTime from 1950 through 2049, GeneralizedTime otherwise (RFC 5280 section 4.1.2.5). */
export function encodeTime(unixSeconds: number): Buffer {
  if (!Number.isInteger(unixSeconds) || unixSeconds < 0 || unixSeconds >= GENERALIZED_END) {
    throw new TouchmarkError(
      'certificate_invalid',
      `${unixSeconds} is not a time that a certificate can hold`,
    );
  }
  const digits = new Date(unixSeconds * 1000).toISOString().replace(/[-:T]|\.000/g, '');
  return unixSeconds >= UTC_TIME_START && unixSeconds < UTC_TIME_END
    ? text(tag.utcTime, digits.slice(2))
    : text(tag.generalizedTime, digits);
}

/**
 * Reads a certificate's time into Unix seconds: with seconds, in UTC, without fractions, a day that exists, not before 1950.
 * @throws TouchmarkError `certificate_invalid`
 */
export function decodeTime(element: DerElement): number {
  const { content } = element;
  const yearDigits = element.tag === tag.utcTime ? 2 : element.tag === tag.generalizedTime ? 4 : 0;
  if (yearDigits === 0 || content.length !== yearDigits + 11 || content.at(-1) !== 0x5a)
    throw invalidTime(content);
  const written = digits(content, 0, yearDigits);
  const year = yearDigits === 4 ? written : written + (written < 50 ? 2000 : 1900);
  const [month, day, hour, minute, second] = [0, 2, 4, 6, 8].map((at) => digits(content, yearDigits + at, 2));
  const time = Date.UTC(year, (month ?? 0) - 1, day, hour, minute, second);
  const date = new Date(time);
  // A field out of its range carries over into the next one; then one of these differs.
  const exists = date.getUTCMonth() + 1 === month && date.getUTCDate() === day && date.getUTCHours() === hour;
  if (!(exists && date.getUTCMinutes() === minute && date.getUTCSeconds() === second && year >= 1950)) {
    throw invalidTime(content);
  }
  return time / 1000;
}

function digits(bytes: Uint8Array, at: number, count: number): number {
  let value = 0;
  for (let i = at; i < at + count; i++) {
    const digit = (bytes[i] ?? 0) - 0x30;
    value = digit >= 0 && digit <= 9 ? value * 10 + digit : Number.NaN;
  }
  return value;
}

function invalidTime(content: Uint8Array): TouchmarkError {
  const written = Buffer.from(content).toString('latin1').slice(0, 40);
  return new TouchmarkError(
    'certificate_invalid',
    `the certificate has ${JSON.stringify(written)} as a time`,
  );
}
