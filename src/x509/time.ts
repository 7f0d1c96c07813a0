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
 * Reads a certificate's time into Unix seconds: with seconds, in UTC, without fractions, a day that exists.
 * @throws TouchmarkError `certificate_invalid`
 */
export function decodeTime(element: DerElement): number {
  const written = Buffer.from(element.content).toString('latin1');
  const full = withCentury(element.tag, written);
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(full);
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = (match ?? []).slice(1).map(Number);
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  date.setUTCHours(hour, minute, second);
  const printed = Number.isNaN(date.getTime()) ? '' : date.toISOString().replace(/[-:T]|\.000/g, '');
  if (match === null || printed !== full) {
    throw new TouchmarkError(
      'certificate_invalid',
      `the certificate has ${JSON.stringify(written)} as a time`,
    );
  }
  return date.getTime() / 1000;
}

function withCentury(timeTag: number, written: string): string {
  if (timeTag === tag.generalizedTime) return written;
  if (timeTag !== tag.utcTime) return '';
  return `${written.slice(0, 2) < '50' ? '20' : '19'}${written}`;
}
