import { createPublicKey } from 'node:crypto';
import { TouchmarkError } from '../../errors.js';
import { parseJsonObject } from '../../spiffe/json.js';
import { isHashName } from '../../tpm/algorithms.js';
import { parseQuote } from '../../tpm/attest.js';
import { describeSelection, type PcrSelection } from '../../tpm/pcr.js';
import { parsePublic, parseSizedPublic, type TpmPublic } from '../../tpm/public.js';
import { type ExplainedCheck, explainQuote } from '../../tpm/quote.js';
import { fields, table } from '../output.js';
import { readInput } from '../read-file.js';
import type { Flag, FlagValues, Verb } from '../verb.js';

const flags: readonly Flag[] = [
  { name: 'attest', type: 'string', doc: 'TPMS_ATTEST, as the chip signed it.', required: true },
  { name: 'signature', type: 'string', doc: 'TPMT_SIGNATURE.', required: true },
  { name: 'key', type: 'string', doc: 'The attestation key, TPMT_PUBLIC or TPM2B_PUBLIC.', required: true },
  { name: 'select', type: 'string', doc: 'The PCRs that were asked for, as sha256:0,1,7.' },
  { name: 'nonce', type: 'string', doc: 'What was asked to be quoted along, hex.' },
  {
    name: 'pcrs',
    type: 'string',
    doc: 'JSON of the values: {"sha256": {"0": "hex", …}} or {"0": "hex", …}.',
  },
];

export const inspectQuote: Verb = {
  name: 'inspect quote',
  summary: 'Check a quote, and say of every check whether it passed.',
  example: 'touchmark inspect quote --attest q.attest --signature q.sig --key ak.pub --nonce 00ff…',
  flags,
  run: async (context) => {
    const attest = await readInput(context.flags.string('attest'));
    const signature = await readInput(context.flags.string('signature'));
    const ak = readKey(await readInput(context.flags.string('key')));
    const checks = await explain({ attest, signature, ak }, context.flags);
    context.out.result({ pretty: text(checks, attest), json: { checks, quote: factsOf(attest) } });
    return checks.some(({ result }) => result === 'failed') ? 1 : 0;
  },
};

/**
 * Values without a selection are held against the PCRs that the quote itself names: their digest can then be
 * checked, while whether these were the right PCRs stays open.
 */
async function explain(
  quote: { attest: Uint8Array; signature: Uint8Array; ak: TpmPublic },
  given: FlagValues,
): Promise<ExplainedCheck[]> {
  const extraData = given.has('nonce') ? { extraData: readHex('nonce', given.string('nonce')) } : {};
  const asked = given.has('select') ? readSelection(given.string('select')) : undefined;
  const values = given.has('pcrs') ? { pcrValues: readPcrs(await readInput(given.string('pcrs'))) } : {};
  const expected = { ...extraData, ...values, ...(asked ? { selection: asked } : {}) };
  const checks = explainQuote({ ...quote, expected });
  const own = asked || !given.has('pcrs') ? undefined : selectionOf(quote.attest);
  if (!own) return checks;
  const [digest] = explainQuote({ ...quote, expected: { ...expected, selection: own } }).slice(-1);
  return [...checks.slice(0, -1), ...(digest ? [digest] : [])];
}

/** With or without its TPM2B size, as tools write either. */
function readKey(bytes: Buffer): TpmPublic {
  const sized = bytes.length > 2 && bytes.readUInt16BE(0) === bytes.length - 2;
  if (sized) return parseSizedPublic(bytes);
  if (bytes.includes('-----BEGIN')) {
    createPublicKey(bytes);
    throw new TouchmarkError(
      'flag_invalid',
      '-key is PEM: without TPMT_PUBLIC nothing says that the key is restricted',
    );
  }
  return parsePublic(bytes);
}

function selectionOf(attest: Uint8Array): PcrSelection | undefined {
  try {
    return parseQuote(attest).selections[0];
  } catch {
    return undefined;
  }
}

function readSelection(written: string): PcrSelection {
  const [bank = '', list = ''] = written.split(':');
  const pcrs = list.split(',').map(Number);
  if (!isHashName(bank) || !/^\d{1,2}(,\d{1,2})*$/.test(list) || pcrs.some((pcr) => pcr >= 24)) {
    throw new TouchmarkError('flag_invalid', `-select ${JSON.stringify(written)} is not bank:0,1,7`);
  }
  return { bank, pcrs: pcrs.sort((a, b) => a - b) };
}

function readPcrs(bytes: Buffer): Map<number, Uint8Array> {
  const document = parseJsonObject(bytes);
  const [name, inner] = Object.entries(document)[0] ?? [];
  const nested = name !== undefined && isHashName(name) && typeof inner === 'object' && inner !== null;
  const values = Object.entries(nested ? (inner as Record<string, unknown>) : document);
  return new Map(values.map(([index, value]) => [Number(index), readHex(`pcrs ${index}`, String(value))]));
}

function readHex(name: string, text: string): Buffer {
  if (!/^([0-9a-fA-F]{2})+$/.test(text)) throw new TouchmarkError('flag_invalid', `${name} is not hex`);
  return Buffer.from(text, 'hex');
}

/** What the bytes say, if they are a quote at all; vouched for only where the checks passed. */
function factsOf(attest: Uint8Array) {
  try {
    const quote = parseQuote(attest);
    return {
      selection: describeSelection(quote.selections),
      extraData: Buffer.from(quote.extraData).toString('hex'),
      pcrDigest: Buffer.from(quote.pcrDigest).toString('hex'),
      clock: quote.clock.toString(),
      resetCount: quote.resetCount,
      restartCount: quote.restartCount,
      safe: quote.safe,
      firmwareVersion: quote.firmwareVersion.toString(16).padStart(16, '0'),
    };
  } catch {
    return undefined;
  }
}

function text(checks: readonly ExplainedCheck[], attest: Uint8Array): string {
  const rows = checks.map(({ check, result, message }) => [check, result, message]);
  const facts = Object.entries(factsOf(attest) ?? {}).map(([name, value]) => [name, String(value)] as const);
  return `${table(['CHECK', 'RESULT', 'MEANING'], rows)}\n\n${fields(facts)}`;
}
