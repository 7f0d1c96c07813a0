import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { LaneTimeout, within } from '../../../native/lane.js';
import { memory } from '../../../native/library.js';
import { type EsysLibrary, loadEsys } from '../../../native/tss2-esys.js';
import { describeResponseCode } from '../../../native/tss2-rc.js';
import { loadTctiLoader } from '../../../native/tss2-tctildr.js';
import { type ErrorCode, TouchmarkError } from '../../errors.js';

/** One open conversation with the chip. Not thread-safe: one call at a time. */
export interface NativeContext {
  esys: EsysLibrary;
  address: bigint;
  /** Ends it. Nothing may be running in it. */
  close(): Promise<void>;
}

const DEFAULT_DEVICE = '/dev/tpmrm0';

/**
 * @param onStuck is told of an opening that nobody waits for any more: until it settles it holds a thread
 * @throws TouchmarkError `native_library_missing`, `tpm_tcti_invalid`, `tpm_device_missing`, `tpm_permission`, `tpm_unavailable`,
 * `tpm_timeout`
 */
export async function openContext(
  tcti: string,
  timeoutMs: number,
  onStuck: (settled: Promise<unknown>) => void,
): Promise<NativeContext> {
  const path = fileOf(tcti);
  if (path !== undefined) await checkFile(path);
  const opening = initialise(tcti);
  try {
    return await within(timeoutMs, opening);
  } catch (cause) {
    if (!(cause instanceof LaneTimeout)) throw cause;
    // A conversation that opens after all is nobody's: close it.
    onStuck(
      opening.then(
        (late) => late.close(),
        () => {},
      ),
    );
    throw new TouchmarkError('tpm_timeout', `the TPM at ${tcti} did not open within ${timeoutMs} ms`, {
      cause,
    });
  }
}

async function initialise(tcti: string): Promise<NativeContext> {
  const esys = loadEsys();
  const loader = loadTctiLoader();
  const tctiSlot = memory(8);
  const tctiCode = await loader.later('Tss2_TctiLdr_Initialize', tcti, tctiSlot);
  if (tctiCode !== 0) throw tctiRefused(tcti, tctiCode);
  const slot = memory(8);
  const code = await esys.later('Esys_Initialize', slot, tctiSlot.readBigUInt64LE(0), null);
  if (code !== 0) {
    await loader.later('Tss2_TctiLdr_Finalize', tctiSlot);
    throw unavailable(tcti, code);
  }
  return {
    esys,
    address: slot.readBigUInt64LE(0),
    async close() {
      await esys.later('Esys_Finalize', slot);
      await loader.later('Tss2_TctiLdr_Finalize', tctiSlot);
    },
  };
}

/** The device or socket that a TCTI string names, if it names one in the file system. */
function fileOf(tcti: string): string | undefined {
  const match = /^([a-z0-9-]+)(?::(.*))?$/.exec(tcti);
  if (match === null) {
    throw new TouchmarkError(
      'tpm_tcti_invalid',
      `the TPM ${JSON.stringify(tcti)} is not written as kind:address`,
    );
  }
  const [, kind, rest = ''] = match;
  if (kind === 'device') return rest === '' ? DEFAULT_DEVICE : rest;
  if (kind === 'swtpm') return /(?:^|,)path=([^,]+)/.exec(rest)?.[1];
  return undefined;
}

async function checkFile(path: string): Promise<void> {
  try {
    await access(path, constants.R_OK | constants.W_OK);
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code;
    if (reason === 'EACCES' || reason === 'EPERM') {
      const message = `this process may not open ${path}: it needs the group that owns it, usually tss`;
      throw new TouchmarkError('tpm_permission', message, { cause });
    }
    const message = `there is no TPM at ${path}: enable it in the firmware setup or name another device`;
    throw new TouchmarkError('tpm_device_missing', message, { cause });
  }
}

function tctiRefused(tcti: string, code: number): TouchmarkError {
  const kind = tcti.split(':')[0] ?? '';
  const NOT_SUPPORTED = 21;
  const known = kind === 'device' || kind === 'swtpm' || kind === 'mssim';
  if (known && (code & 0xff) !== NOT_SUPPORTED) return unavailable(tcti, code);
  const message = `tpm2-tss cannot open ${JSON.stringify(tcti)}: install libtss2-tcti-${kind}0 or correct the name`;
  return refusal('tpm_tcti_invalid', message, code);
}

function unavailable(tcti: string, code: number): TouchmarkError {
  return refusal('tpm_unavailable', `the TPM at ${tcti} does not open: ${describeResponseCode(code)}`, code);
}

function refusal(code: ErrorCode, message: string, responseCode: number): TouchmarkError {
  return new TouchmarkError(code, message, { detail: { responseCode } });
}
