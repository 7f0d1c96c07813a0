import { asBuffer } from '../as-buffer.js';
import { pathText } from '../path-text.js';
import { type ImaRecord, LEGACY_DIGEST, LEGACY_TEMPLATE } from './ima-record.js';
import { fieldsOf, type ImaField, type ImaFileDigest, MAX_LABEL, readDigest } from './ima-template.js';

/** A name as the kernel measured it: any bytes but NUL; the kernel writes `_` for a space. */
export interface ImaPath {
  readonly bytes: Uint8Array;
  /** On one line and without control characters; what is not UTF-8 as `\xNN`. For people: compare the bytes. */
  readonly text: string;
}

/** What a record says. What the template does not have, or what could not be read, is absent. */
export interface ImaEntry {
  readonly event: number;
  readonly pcr: number;
  readonly template: string;
  readonly templateDigest: Uint8Array;
  readonly violation: boolean;
  readonly fileDigest?: ImaFileDigest;
  readonly path?: ImaPath;
  /** security.ima or the portable EVM signature, beginning with its type: 3, 5 or 6. Not verified. */
  readonly signature?: Uint8Array;
  /** `ima-buf`: a certificate, a command line, critical data. */
  readonly buffer?: Uint8Array;
  /** `ima-modsig`: digest without the appended signature, and that signature (PKCS #7). */
  readonly modsigDigest?: ImaFileDigest;
  readonly modsig?: Uint8Array;
  /** Why the data is not what the template asks for. */
  readonly problem?: string;
}

/** An entry while it is read. */
type Facts = { -readonly [Key in keyof ImaEntry]: ImaEntry[Key] };

/**
 * Reads the template data. Never throws: data that is not what its template says is a `problem`, an unknown template
 * has neither digest nor path. Establishes nothing: only a replay that ends in a quoted PCR vouches for the data.
 */
export function readImaEntry(record: ImaRecord): ImaEntry {
  const { event, pcr, template, templateDigest, violation, data } = record;
  const fields = fieldsOf(template);
  const facts: Facts = { event, pcr, template, templateDigest, violation };
  const problem = fields && (template === LEGACY_TEMPLATE ? legacy(data, facts) : sized(data, fields, facts));
  return problem === undefined ? facts : { event, pcr, template, templateDigest, violation, problem };
}

function legacy(data: Uint8Array, facts: Facts): string | undefined {
  const end = data.indexOf(0, LEGACY_DIGEST);
  if (data.subarray(end).some((byte) => byte !== 0)) return 'its name has a NUL inside';
  facts.fileDigest = { algorithm: 'sha1', digest: data.subarray(0, LEGACY_DIGEST), of: 'file' };
  facts.path = new MeasuredPath(data.subarray(LEGACY_DIGEST, end));
  return undefined;
}

function sized(data: Uint8Array, fields: readonly ImaField[], facts: Facts): string | undefined {
  const bytes = asBuffer(data);
  let at = 0;
  for (const field of fields) {
    if (bytes.length - at < 4) return `it ends before field ${field}`;
    const size = bytes.readUInt32LE(at);
    at += 4;
    if (size > bytes.length - at) return `field ${field} of ${size} bytes is longer than the data`;
    const problem = readField[field](bytes.subarray(at, at + size), facts);
    if (problem !== undefined) return problem;
    at += size;
  }
  return at === bytes.length ? undefined : `${bytes.length - at} bytes follow its last field`;
}

const readField: Readonly<Record<ImaField, (bytes: Buffer, facts: Facts) => string | undefined>> = {
  d: (bytes, facts) => {
    if (bytes.length !== LEGACY_DIGEST) return `field d has ${bytes.length} bytes`;
    facts.fileDigest = { algorithm: 'sha1', digest: bytes, of: 'file' };
    return undefined;
  },
  n: (bytes, facts) => name(bytes.at(-1) === 0 ? bytes : Buffer.concat([bytes, Buffer.of(0)]), facts),
  'd-ng': (bytes, facts) => fileDigest(bytes, facts, false),
  'd-ngv2': (bytes, facts) => fileDigest(bytes, facts, true),
  'n-ng': name,
  sig: (bytes, facts) => {
    if (bytes.length === 0) return undefined;
    if (![3, 5, 6].includes(bytes[0] ?? 0)) return `field sig begins with ${bytes[0]}, which is no signature`;
    facts.signature = bytes;
    return undefined;
  },
  buf: (bytes, facts) => {
    facts.buffer = bytes;
    return undefined;
  },
  'd-modsig': (bytes, facts) => {
    if (bytes.length === 0) return undefined;
    const digest = splitDigest(bytes, false);
    if (!digest) return 'field d-modsig is no digest';
    facts.modsigDigest = digest;
    return undefined;
  },
  modsig: (bytes, facts) => {
    if (bytes.length > 0) facts.modsig = bytes;
    return undefined;
  },
};

function fileDigest(bytes: Buffer, facts: Facts, second: boolean): string | undefined {
  const digest = splitDigest(bytes, second);
  if (!digest) return `its file digest is not ${second ? 'type:algorithm:digest' : 'algorithm:digest'}`;
  facts.fileDigest = digest;
  return undefined;
}

/** `sha256:` NUL digest. */
function splitDigest(bytes: Buffer, second: boolean): ImaFileDigest | undefined {
  const nul = bytes.indexOf(0);
  return nul < 0 || nul > MAX_LABEL
    ? undefined
    : readDigest(bytes.toString('latin1', 0, nul), bytes.subarray(nul + 1), second);
}

function name(bytes: Buffer, facts: Facts): string | undefined {
  if (bytes.indexOf(0) !== bytes.length - 1) return 'its name does not end in its only NUL';
  facts.path = new MeasuredPath(bytes.subarray(0, -1));
  return undefined;
}

/** The text is made when it is asked for: most entries of a long list are never shown. */
class MeasuredPath implements ImaPath {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get text(): string {
    return pathText(this.bytes);
  }
}
