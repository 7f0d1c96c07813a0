/** How bad a finding is: good, worth knowing, worth mending, in the way of the agent. */
export type Level = 'ok' | 'note' | 'warning' | 'error';

interface FindingRow {
  readonly level: Level;
  /** What to do; empty where there is nothing. */
  readonly remedy: string;
}

const good = { level: 'ok', remedy: '' } as const;
const note = (remedy = ''): FindingRow => ({ level: 'note', remedy });
const warning = (remedy: string): FindingRow => ({ level: 'warning', remedy });
const error = (remedy: string): FindingRow => ({ level: 'error', remedy });

const asRoot = 'Run the command as root.';
const reportIt =
  'Keep the log and report it to the maker of the firmware; a policy can only judge what the log explains.';

/** Every finding by its code, which is never renamed. */
export const findingTable = {
  // the machine
  kernel: good,
  kernel_old: warning('Update to a kernel of 5.8 or later: older ones extend IMA only half into SHA-256.'),
  not_root: note(asRoot),
  not_seen: note(asRoot),
  clock_good: good,
  clock_wrong: error('Set the clock: certificates are not valid yet, or not any more, by this one.'),
  clock_behind: warning('Check the battery of the clock, and that time is set from the network at boot.'),
  clock_not_synchronised: note('Enable systemd-timesyncd, chrony or another time service.'),
  examination_failed: error('This is a defect in the doctor; report it with the message.'),
  // the chip
  tpm_device: good,
  tpm_not_seen: note('Nothing: the chip is reached in another way than through a device.'),
  tpm_missing: error('Enable the TPM in the firmware setup, and load its kernel driver.'),
  tpm_version_1: error('This host needs a TPM 2.0; some can be switched over in the firmware setup.'),
  tpm_access: note('Who may open the chip is this host: keep the group as small as it can be.'),
  tpm_open_to_all: error(
    'Take the access of others away: chmod 0660, and look for the udev rule that gave it.',
  ),
  tpm_agent_denied: error('Give the device to the group tss, mode 0660: a udev rule of tpm2-tss does so.'),
  tpm_unreachable: error('Follow the message.'),
  tpm_chip: good,
  tpm_lockout: warning(
    'Something used wrong passwords: find it, then tpm2_dictionarylockout --clear-lockout.',
  ),
  tpm_bank: good,
  tpm_bank_other: warning(
    'Allocate the SHA-256 bank, or set pcr_bank at the server to one that all of its hosts have.',
  ),
  tpm_bank_missing: error(
    'Allocate the SHA-256 bank: in the firmware setup, or tpm2_pcrallocate and a reboot.',
  ),
  tpm_handles_left: note('Programs that use /dev/tpm0 left objects loaded; use /dev/tpmrm0 instead.'),
  tpm_quotes: good,
  tpm_key_failed: error('Follow the message: no attestation key, no attestation.'),
  ek_certificate: good,
  ek_certificate_missing: warning(
    'Some makers give it on request only: fetch it by the hash, or allow the key by its hash at the server.',
  ),
  ek_certificate_unreadable: warning('Allow the key by its hash at the server.'),
  ek_certificate_ended: warning('Let the server accept ended certificates: the chip stays the same.'),
  ek_certificate_odd: note(),
  tpm_remark: warning('Follow the message; `touchmark inspect tpm` shows more.'),
  // the logs
  boot_log: good,
  boot_log_absent: warning(
    'Boot by UEFI with the TPM enabled; without a log only digests of registers can be judged.',
  ),
  boot_log_unreadable: error('Follow the message.'),
  boot_log_invalid: error(reportIt),
  boot_log_bank_missing: warning(
    'Disable the bank in the firmware setup, or update the firmware so that it logs for it.',
  ),
  boot_log_mismatch: error(reportIt),
  boot_log_remark: note(),
  userspace_log: good,
  userspace_log_absent: note(
    'Nothing, unless this host is to show what systemd measures (systemd 255 and later).',
  ),
  userspace_log_unreadable: warning('Follow the message.'),
  userspace_log_invalid: error('Keep the log and report it; the registers that it extends cannot be judged.'),
  userspace_unexplained: warning(
    'Something extends these registers and writes no log: find out what, or leave them out.',
  ),
  ima: good,
  ima_off: warning('Use a kernel with CONFIG_IMA; without it nothing that runs can be judged.'),
  ima_unreadable: warning('Follow the message.'),
  ima_no_rules: warning('Add ima_policy=tcb to the kernel command line, or install /etc/ima/ima-policy.'),
  ima_rules: good,
  ima_rules_unknown: note(
    'Add ima_policy= to the kernel command line, or measure the policy file: evidence must show the rules.',
  ),
  ima_mismatch: error('The list is not what the chip was told: reboot, and look who writes to PCR 10.'),
  ima_padded_sha1: warning('Update to a kernel of 5.8 or later.'),
  ima_aggregate: good,
  ima_aggregate_mismatch: warning('After kexec this is so; a policy must allow it.'),
  ima_invalid: error('Keep the list and report it.'),
  ima_hash_other: note(
    'Add ima_hash=sha256 to the kernel command line: what binary:measured compares are SHA-256 digests.',
  ),
  ima_violations: note('Files were written to while they were measured; a policy can ignore them.'),
  ima_growing: warning(
    'Narrow the IMA rules: such a list makes attestation slow and fills the memory of the kernel.',
  ),
  secure_boot_on: good,
  secure_boot_off: warning('Turn Secure Boot on in the firmware setup, if a policy is to ask for it.'),
  secure_boot_setup_mode: warning('Enrol keys: in setup mode anybody can.'),
  secure_boot_unknown: note('Nothing, unless this host boots by UEFI: then mount efivarfs.'),
  // the agent
  config: good,
  config_missing: note('Write /etc/touchmark/agent.toml, or name the file with -config.'),
  config_invalid: error('Correct the file; `touchmark-agent validate` shows the same.'),
  data_dir: good,
  data_dir_missing: note('Nothing: the agent makes it when it starts.'),
  data_dir_owner: error(
    'Give it to the agent by chown -R, or remove it: the agent makes it anew and attests again.',
  ),
  data_dir_open: error("Take the access of others away: chmod 0700. The agent's keys and bundles are in it."),
  socket: good,
  socket_missing: note('Start the agent: systemctl start touchmark-agent.'),
  socket_closed: warning('Workloads cannot connect: every directory above the socket must let them pass.'),
  server: good,
  server_unreachable: error('Check server_address, server_port and the network in between.'),
} as const satisfies Record<string, FindingRow>;

export type FindingCode = keyof typeof findingTable;

export interface DoctorFinding {
  readonly level: Level;
  readonly code: FindingCode;
  /** One sentence. */
  readonly message: string;
  readonly remedy: string;
}

/** @param remedy instead of the table's, where the cause knows better */
export function found(code: FindingCode, message: string, remedy?: string): DoctorFinding {
  const row: FindingRow = findingTable[code];
  return { level: row.level, code, message, remedy: remedy ?? row.remedy };
}
