import { row } from './row.js';

/** Error codes of the logs of the firmware and of user space. */
export const measureBootErrors = {
  boot_log_too_large: row(
    'INVALID_ARGUMENT',
    'No firmware writes a log beyond 2 MiB: check what produced the file.',
  ),
  boot_log_truncated: row(
    'INVALID_ARGUMENT',
    'Read /sys/kernel/security/tpm0/binary_bios_measurements again, whole.',
  ),
  boot_log_invalid: row(
    'INVALID_ARGUMENT',
    'Give the binary log of the firmware (binary_bios_measurements), unchanged.',
  ),
  userspace_log_too_large: row(
    'INVALID_ARGUMENT',
    'At most 2 MiB and 64 KiB a record are read: check what wrote the file.',
  ),
  userspace_log_truncated: row(
    'INVALID_ARGUMENT',
    'Read /run/log/systemd/tpm2-measure.log again when nothing is being measured.',
  ),
  userspace_log_invalid: row(
    'INVALID_ARGUMENT',
    'Give the log of systemd (/run/log/systemd/tpm2-measure.log), unchanged.',
  ),
};
