import { describeResponseCode } from '../../../native/tss2-rc.js';
import { hasCode, TouchmarkError } from '../../errors.js';

/** What to do about a response code of tpm2-tss or of the chip. */
export type Failure = 'retry' | 'lockout' | 'auth' | 'device' | 'refused';

const TCTI_LAYER = 10;
/** The chip itself, and a resource manager that passes its code on (the kernel's is 11). */
const chipLayers = [0, 11, 12];

/** object memory, session memory, context gap, yielded, testing, NV rate, retry */
const retryable = [0x902, 0x903, 0x901, 0x908, 0x90a, 0x920, 0x922];
const LOCKOUT = 0x921;
/** In a format-one code without its parameter, handle or session number. */
const authFailures = [0x8e, 0xa2];
/** General failure, bad sequence, no connection, try again, I/O, malformed, short: after these the context is not usable. */
const brokenContext = [1, 7, 8, 9, 10, 17, 19];

/** Sorts a response code other than 0 (TPM 2.0 Part 2, 6.6; TSS 2.0 overview, 3). */
export function classify(code: number): Failure {
  const layer = (code >>> 16) & 0xff;
  if (layer === TCTI_LAYER) return 'device';
  if (!chipLayers.includes(layer)) return brokenContext.includes(code & 0xff) ? 'device' : 'refused';
  if ((code & 0x80) !== 0) return authFailures.includes(code & 0xbf) ? 'auth' : 'refused';
  if ((code & 0xfff) === LOCKOUT) return 'lockout';
  return retryable.includes(code & 0xfff) ? 'retry' : 'refused';
}

/** Whether the code blames one of the command's parameters (format one, P bit). */
export function blamesParameter(code: number): boolean {
  return chipLayers.includes((code >>> 16) & 0xff) && (code & 0xc0) === 0xc0;
}

/** A failed call, before an operation has given it a meaning of its own. */
export class TpmCallError extends Error {
  override readonly name = 'TpmCallError';
  readonly command: string;
  readonly code: number;
  readonly failure: Failure;

  constructor(command: string, code: number) {
    super(`${command} failed with ${describeResponseCode(code)}`);
    this.command = command;
    this.code = code;
    this.failure = classify(code);
  }
}

/** What the caller of a device meets. Anything that is not a failed call passes unchanged. */
export function toTouchmarkError(error: unknown): unknown {
  if (!(error instanceof TpmCallError)) return error;
  const detail = { command: error.command, responseCode: error.code };
  const make = (code: Parameters<typeof tpmError>[0], message: string) =>
    tpmError(code, message, error, detail);
  switch (error.failure) {
    case 'lockout':
      return make('tpm_lockout', 'the TPM is locked after too many failed authorisations');
    case 'auth':
      return make('tpm_auth_failed', `the TPM refused the authorisation for ${error.command}`);
    case 'device':
      return make('tpm_unavailable', `the TPM cannot be reached: ${error.message}`);
    case 'retry':
      return make('tpm_unavailable', `the TPM stayed busy: ${error.message}`);
    case 'refused':
      return make('tpm_command_failed', `the TPM refused a command: ${error.message}`);
  }
}

type TpmCode =
  | 'tpm_lockout'
  | 'tpm_auth_failed'
  | 'tpm_unavailable'
  | 'tpm_command_failed'
  | 'tpm_credential_refused';

function tpmError(code: TpmCode, message: string, cause: unknown, detail: Record<string, unknown>) {
  return new TouchmarkError(code, message, { cause, detail });
}

/** Whether the chip, asked properly, said no: before or after the error was given its code. */
export function isRefusal(error: unknown): boolean {
  if (error instanceof TpmCallError) return error.failure === 'refused' || error.failure === 'auth';
  return hasCode(error, 'tpm_command_failed', 'tpm_auth_failed');
}
