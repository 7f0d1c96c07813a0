import type { OpenTpmOptions, TpmDevice } from './tpm.js';

/**
 * Loads tpm2-tss (here, not before) and opens the chip.
 * @throws TouchmarkError `tpm_library_missing`, `tpm_device_missing`, `tpm_permission`, `tpm_tcti_invalid`, `tpm_unavailable`
 */
export async function openTpm(options: OpenTpmOptions): Promise<TpmDevice> {
  const { openDevice } = await import('./tpm/device.js');
  return openDevice(options);
}
