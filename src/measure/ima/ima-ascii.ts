import { TouchmarkError } from '../../errors.js';
import {
  checkedPcr,
  checkedSize,
  checkedTemplate,
  type ImaReader,
  type ImaReaderOptions,
  type ImaRecord,
  isZero,
  LEGACY_DIGEST,
  LEGACY_NAME,
  LEGACY_TEMPLATE,
  legacyData,
  listDigestSize,
  MAX_TEMPLATE_DATA,
} from './ima-record.js';
import { fieldsOf, type ImaField } from './ima-template.js';

const MAX_LINE = 2 * MAX_TEMPLATE_DATA + 8192;
const NEWLINE = 0x0a;
const hex = /^([0-9a-f]{2})*$/;

/**
 * The kernel's `ascii_runtime_measurements`. Its lines are turned back into what was hashed, so a line that says
 * something else than what was measured does not match its own template digest. Prefer the binary list: a path with
 * a newline in it cannot be told from two lines here (it is refused or its digest mismatches), and the data of an
 * unknown template cannot be had back.
 */
export function imaAsciiReader(options: ImaReaderOptions = {}): ImaReader {
  const digestSize = listDigestSize(options);
  let event = options.before ?? 0;
  let rest: Uint8Array[] = [];
  let restSize = 0;
  function* records(chunk: Uint8Array): Generator<ImaRecord> {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      checkedSize(restSize + end - start, MAX_LINE, `line ${event + 1} of the IMA list`);
      const line = Buffer.concat([...rest, chunk.subarray(start, end)]).toString('latin1');
      rest = [];
      restSize = 0;
      start = end + 1;
      event += 1;
      yield readLine(line, event, digestSize);
    }
    restSize = checkedSize(restSize + chunk.length - start, MAX_LINE, `line ${event + 1} of the IMA list`);
    if (start < chunk.length) rest.push(chunk.subarray(start));
  }
  return {
    push: records,
    end: () => {
      if (restSize === 0) return;
      const message = `the IMA list is cut off in line ${event + 1}: it does not end in a newline`;
      throw new TouchmarkError('ima_list_truncated', message);
    },
  };
}

/**
 * A whole list.
 * @throws TouchmarkError `ima_list_truncated`, `ima_list_invalid`, `ima_list_too_large`, `ima_template_unsupported`
 */
export function* parseImaAscii(bytes: Uint8Array, options: ImaReaderOptions = {}): Generator<ImaRecord> {
  const reader = imaAsciiReader(options);
  yield* reader.push(bytes);
  reader.end();
}

/** `line` has one character per byte. */
function readLine(line: string, event: number, digestSize: number): ImaRecord {
  const where = `line ${event}`;
  const [index = '', digest = '', name = '', ...tokens] = line.replace(/^ /, '').split(' ');
  if (!/^\d{1,2}$/.test(index)) throw bad(where, 'does not begin with a PCR');
  const pcr = checkedPcr(Number(index), where);
  if (digest.length !== 2 * digestSize || !hex.test(digest)) {
    throw bad(where, `has no template digest of ${digestSize} bytes`);
  }
  const template = checkedTemplate(name, where);
  const templateDigest = Buffer.from(digest, 'hex');
  const data = (template === LEGACY_TEMPLATE ? legacy : sized)(template, tokens, where);
  return { event, pcr, template, templateDigest, data, violation: isZero(templateDigest) };
}

function legacy(_template: string, tokens: readonly string[], where: string): Uint8Array {
  const [digest = '', name = ''] = tokens;
  const fits = tokens.length === 2 && name.length < LEGACY_NAME;
  if (!fits || digest.length !== 2 * LEGACY_DIGEST || !hex.test(digest)) {
    throw bad(where, 'is not digest and name, as template ima has them');
  }
  return legacyData(Buffer.from(digest, 'hex'), Buffer.from(name, 'latin1'));
}

/** Each field behind its length, as the kernel hashes it. Fields that are empty may be missing at the end. */
function sized(template: string, tokens: readonly string[], where: string): Uint8Array {
  const fields = fieldsOf(template);
  if (!fields) {
    const message = `${where} of the IMA list has template ${template}, whose data a text list does not hold`;
    throw new TouchmarkError('ima_template_unsupported', message);
  }
  if (tokens.length > fields.length) throw bad(where, `has more fields than template ${template}`);
  const parts = fields.flatMap((field, place) => {
    const bytes = fieldBytes[field](tokens[place] ?? '');
    if (!bytes) throw bad(where, `has a field ${field} that does not fit`);
    const size = Buffer.alloc(4);
    size.writeUInt32LE(bytes.length);
    return [size, bytes];
  });
  return Buffer.concat(parts);
}

const fromHex = (text: string) => (hex.test(text) ? Buffer.from(text, 'hex') : undefined);
const named = (text: string) => Buffer.from(`${text}\0`, 'latin1');

const fieldBytes: Readonly<Record<ImaField, (text: string) => Buffer | undefined>> = {
  d: (text) => (text.length === 2 * LEGACY_DIGEST ? fromHex(text) : undefined),
  n: (text) => Buffer.from(text, 'latin1'),
  'd-ng': (text) => digestBytes(text),
  'd-ngv2': (text) => digestBytes(text),
  'n-ng': named,
  sig: fromHex,
  buf: fromHex,
  'd-modsig': (text) => (text === '' ? Buffer.alloc(0) : digestBytes(text)),
  modsig: fromHex,
};

/** `sha256:` and hex become `sha256:`, NUL and the digest. */
function digestBytes(text: string): Buffer | undefined {
  const colon = text.lastIndexOf(':') + 1;
  const digest = fromHex(text.slice(colon));
  if (colon === 0 || !digest) return undefined;
  return Buffer.concat([Buffer.from(`${text.slice(0, colon)}\0`, 'latin1'), digest]);
}

function bad(where: string, what: string): TouchmarkError {
  return new TouchmarkError('ima_list_invalid', `${where} of the IMA list ${what}`);
}
