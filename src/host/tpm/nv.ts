import { ESYS_TR_NONE, ESYS_TR_PASSWORD } from '../../../native/tss2-esys.js';
import { TouchmarkError } from '../../errors.js';
import { readerOf } from '../../tpm/reader.js';
import type { HandleSlot, TpmScope } from './scope.js';

/** Certificates are 1-2 kB; nothing that we read is larger than this. */
const MAX_INDEX_SIZE = 16_384;

/**
 * Reads a whole NV index with its own, empty authorisation.
 * @param chunk most bytes for one NV_Read, as the chip said
 */
export async function readNvIndex(scope: TpmScope, index: number, chunk: number): Promise<Uint8Array> {
  const none = ESYS_TR_NONE;
  const slot = scope.permanent();
  await scope.call('Esys_TR_FromTPMPublic', index, none, none, none, slot.memory);
  const size = await sizeOf(scope, index, slot);
  const content = new Uint8Array(size);
  for (let offset = 0; offset < size; ) {
    const wanted = Math.min(chunk, size - offset);
    const output = scope.output();
    const nv = slot.handle;
    await scope.call('Esys_NV_Read', nv, nv, ESYS_TR_PASSWORD, none, none, wanted, offset, output);
    const part = scope.read('TPM2B_MAX_NV_BUFFER', output).subarray(2);
    if (part.length === 0 || part.length > wanted)
      throw unexpected(index, `${part.length} bytes at ${offset}`);
    content.set(part, offset);
    offset += part.length;
  }
  return content;
}

async function sizeOf(scope: TpmScope, index: number, slot: HandleSlot): Promise<number> {
  const none = ESYS_TR_NONE;
  const [nvPublic, name] = [scope.output(), scope.output()];
  await scope.call('Esys_NV_ReadPublic', slot.handle, none, none, none, nvPublic, name);
  const fields = readerOf(scope.read('TPM2B_NV_PUBLIC', nvPublic).subarray(2), 'TPMS_NV_PUBLIC');
  fields.bytes(4 + 2 + 4);
  fields.sized(64);
  const size = fields.u16();
  if (size > MAX_INDEX_SIZE) throw unexpected(index, `${size} bytes`);
  return size;
}

function unexpected(index: number, what: string): TouchmarkError {
  return new TouchmarkError('tpm_command_failed', `the TPM's NV index 0x${index.toString(16)} holds ${what}`);
}
