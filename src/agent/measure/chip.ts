import { messageOf, TouchmarkError } from '../../errors.js';
import type { TpmDevice } from '../../host/tpm.js';
import type { Logger } from '../../log.js';

/**
 * The agent's one way to its TPM: opened when first used, kept open, shared by attestations and ticks, which take turns. A chip
 * that failed is opened anew for the next one.
 */
export interface Chip extends AsyncDisposable {
  /** Names the attestation key of this trust domain. */
  readonly unique: Uint8Array;
  /** @throws TouchmarkError what opening and what the work says */
  use<T>(work: (tpm: TpmDevice) => Promise<T>): Promise<T>;
}

export interface ChipOptions {
  readonly unique: Uint8Array;
  readonly log: Logger;
  open(): Promise<TpmDevice>;
}

/** After these the conversation is not to be trusted, or was opened with another password than there is now. */
const failures: ReadonlySet<string> = new Set([
  'tpm_unavailable',
  'tpm_timeout',
  'tpm_device_missing',
  'tpm_permission',
  'tpm_auth_failed',
  'tpm_lockout',
  'tpm_command_failed',
]);

export function createChip(options: ChipOptions): Chip {
  let opened: Promise<TpmDevice> | undefined;
  const close = async (device: Promise<TpmDevice> | undefined) => {
    if (opened === device) opened = undefined;
    try {
      await (await device)?.[Symbol.asyncDispose]();
    } catch (error) {
      options.log.debug('closing the TPM failed', { error: messageOf(error) });
    }
  };
  const current = (): Promise<TpmDevice> => {
    if (opened !== undefined) return opened;
    const opening = options.open();
    opened = opening;
    // Whatever the reason: a later one may not have it.
    opening.catch(() => {
      if (opened === opening) opened = undefined;
    });
    return opening;
  };
  const use = async <T>(work: (tpm: TpmDevice) => Promise<T>, again = true): Promise<T> => {
    const device = current();
    const tpm = await device;
    try {
      return await work(tpm);
    } catch (error) {
      const failed = !(error instanceof TouchmarkError) || failures.has(error.code);
      // Another user may have closed it under this one, which is no failure of the chip.
      const taken = opened !== device;
      if (failed && !taken) await close(device);
      if (failed && taken && again) return use(work, false);
      throw error;
    }
  };
  return {
    unique: options.unique,
    use: (work) => use(work),
    [Symbol.asyncDispose]: () => close(opened),
  };
}
