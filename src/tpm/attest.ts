import { TouchmarkError } from '../errors.js';
import { hex16 } from './algorithms.js';
import { type PcrSelection, readSelections } from './pcr.js';
import { type Reader, readerOf } from './reader.js';

/** TPM_GENERATED_VALUE: what a restricted key signs only in structures that the chip made itself. */
export const TPM_GENERATED = 0xff544347;

/** TPM_ST of the attestation structures that are read here. */
export const attestType = { certify: 0x8017, quote: 0x8018 } as const;

/** Time and counters in every TPMS_ATTEST. In clear only for keys of the endorsement and platform hierarchies. */
export interface ClockInfo {
  /** Milliseconds for which the chip has been powered; saved at intervals of at most 2^22 ms. */
  clock: bigint;
  resetCount: number;
  restartCount: number;
  /** False after an unorderly shutdown, until no higher clock can have been shown before. */
  safe: boolean;
}

interface AttestBase extends ClockInfo {
  qualifiedSigner: Uint8Array;
  extraData: Uint8Array;
  firmwareVersion: bigint;
}

export interface QuoteAttest extends AttestBase {
  selections: PcrSelection[];
  pcrDigest: Uint8Array;
}

export interface CertifyAttest extends AttestBase {
  name: Uint8Array;
  qualifiedName: Uint8Array;
}

/** nameAlg and the largest digest. */
const MAX_NAME = 66;
const MAX_DATA = 66;
const MAX_DIGEST = 64;

/** Reads a TPMS_ATTEST of type quote; magic and type are checked first, and nothing may follow. Does NOT verify a signature. */
export function parseQuote(bytes: Uint8Array): QuoteAttest {
  const reader = readerOf(bytes, 'TPMS_ATTEST');
  checkHeader(reader, attestType.quote, 'a quote');
  const { qualifiedSigner, extraData, clock, resetCount, restartCount, safe, firmwareVersion } =
    readBase(reader);
  const selections = readSelections(reader);
  const pcrDigest = reader.sized(MAX_DIGEST);
  reader.end();
  // Written out, here and wherever every tick passes: a spread costs several times what these properties do.
  return {
    qualifiedSigner,
    extraData,
    clock,
    resetCount,
    restartCount,
    safe,
    firmwareVersion,
    selections,
    pcrDigest,
  };
}

/** Reads a TPMS_ATTEST of type certify, as strictly. Does NOT verify a signature. */
export function parseCertify(bytes: Uint8Array): CertifyAttest {
  const reader = readerOf(bytes, 'TPMS_ATTEST');
  checkHeader(reader, attestType.certify, 'a certification');
  const base = readBase(reader);
  const certify = { ...base, name: reader.sized(MAX_NAME), qualifiedName: reader.sized(MAX_NAME) };
  reader.end();
  return certify;
}

function checkHeader(reader: Reader, type: number, what: string): void {
  const magic = reader.u32();
  if (magic !== TPM_GENERATED) {
    const message = `the attested structure begins with 0x${magic.toString(16).padStart(8, '0')}: no TPM made it`;
    throw new TouchmarkError('quote_magic', message);
  }
  const found = reader.u16();
  if (found === type) return;
  throw new TouchmarkError(
    'quote_type',
    `the attested structure has type ${hex16(found)} and is not ${what}`,
  );
}

function readBase(reader: Reader): AttestBase {
  return {
    qualifiedSigner: reader.sized(MAX_NAME),
    extraData: reader.sized(MAX_DATA),
    clock: reader.u64(),
    resetCount: reader.u32(),
    restartCount: reader.u32(),
    safe: readYesNo(reader),
    firmwareVersion: reader.u64(),
  };
}

function readYesNo(reader: Reader): boolean {
  const value = reader.u8();
  if (value > 1) throw new TouchmarkError('tpm_structure_invalid', `TPMI_YES_NO has the value ${value}`);
  return value === 1;
}
