import { type ErrorRow, row } from './row.js';

/** Error codes of this machine: its TPM, processes and files. */
export const hostErrors = {
  // host: this machine's TPM, processes and files
  native_library_missing: row(
    'UNAVAILABLE',
    'Install the named package: apt install libtss2-esys-3.0.2-0 libtss2-mu0 libtss2-tctildr0.',
  ),
  tpm_tcti_invalid: row(
    'INVALID_ARGUMENT',
    'Write the TPM as device:/dev/tpmrm0 or swtpm:path=/run/x.sock, and install the libtss2-tcti-* package of that kind.',
  ),
  tpm_device_missing: row(
    'UNAVAILABLE',
    'Enable the TPM in the firmware setup and load its kernel driver; ls /dev/tpmrm0 must show it.',
  ),
  tpm_permission: row(
    'UNAVAILABLE',
    'Put the user of this process into the group that owns the device, usually tss.',
  ),
  tpm_unavailable: row(
    'UNAVAILABLE',
    'Look at the kernel log for lines about tpm; nothing has to be restarted, the next call opens the chip again.',
  ),
  tpm_timeout: row(
    'UNAVAILABLE',
    'Look at the kernel log for lines about tpm; nothing has to be restarted, the next call opens the chip again.',
  ),
  tpm_lockout: row(
    'UNAVAILABLE',
    'Wait for the lockout to end or reset it with tpm2_dictionarylockout --clear-lockout.',
  ),
  tpm_auth_failed: row(
    'FAILED_PRECONDITION',
    "Give the endorsement hierarchy's authorisation value to the agent as a credential.",
  ),
  tpm_command_failed: row('INTERNAL', 'Look the response code up with tpm2_rc_decode.'),
  tpm_credential_refused: row(
    'FAILED_PRECONDITION',
    'Attest again: the credential was made for another endorsement or attestation key.',
  ),
  tpm_key_unavailable: row(
    'FAILED_PRECONDITION',
    'Run `touchmark inspect tpm` to see which endorsement keys the chip has.',
  ),
  tpm_argument_invalid: row('INVALID_ARGUMENT', 'This is a defect in the caller; report it.'),
  peer_unknown: row(
    'PERMISSION_DENIED',
    'Connect to the Unix socket directly, from a running process on this host.',
  ),
  peer_gone: row(
    'PERMISSION_DENIED',
    'The process ended while it was being looked at; connect again from one that stays.',
  ),
  peer_other_namespace: row(
    'PERMISSION_DENIED',
    "Run the process in the pid namespace of the agent or share the host's: its number means nothing here.",
  ),
  proc_unreadable: row(
    'PERMISSION_DENIED',
    'Give the agent CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH and mount /proc without hidepid.',
  ),
  hash_refused: row(
    'FAILED_PRECONDITION',
    'Raise the size or time limit for hashing, or use selectors that need no hash.',
  ),
  hash_changed: row('ABORTED', 'The file was written while it was hashed; try again when it is at rest.'),
  file_system_hangs: row(
    'UNAVAILABLE',
    'A file system on which programs lie (NFS, FUSE) does not answer: look at its server or unmount it.',
  ),
  file_too_large: row(
    'INVALID_ARGUMENT',
    'Look at what wrote this file: it is larger than anything expected there.',
  ),
  directory_locked: row(
    'FAILED_PRECONDITION',
    'Stop the process that holds the directory, or choose another directory.',
  ),
  listen_fds_invalid: row(
    'FAILED_PRECONDITION',
    'Check the .socket unit: what systemd passed does not fit LISTEN_FDS and LISTEN_FDNAMES.',
  ),
  swtpm_missing: row('FAILED_PRECONDITION', 'Install it: apt install swtpm swtpm-tools.'),
  swtpm_failed: row('UNAVAILABLE', 'Run the named program by hand to see what it says.'),
} as const satisfies Record<string, ErrorRow>;
