/** Every reason that a component can have, with what to do about it. Codes are stable: never renamed, never reused. */
const addReference =
  'See what it is; to accept it, add its digest to a reference set (`touchmark-server reference create`).';
const resend =
  'See the host: the log was changed, cut off, or belongs to another boot; a restart of the agent sends it whole.';
const firmwareBug = 'See the firmware of the host: its log breaks the specification; update it.';

export const reasonTable = {
  // logs and registers
  boot_log_absent:
    'Make binary_bios_measurements readable for the agent, or boot with UEFI and a TPM that the kernel finds.',
  boot_log_unreadable: resend,
  boot_log_bank_missing:
    'Enable the quoted bank in the firmware, or let the server quote a bank that the log has.',
  userspace_log_unreadable: resend,
  ima_list_absent: 'Enable IMA in the kernel of the host (CONFIG_IMA, ima_policy= on its command line).',
  ima_list_unreadable: resend,
  pcr_not_quoted: 'Add the register to the ones that the server asks for.',
  pcr_unexplained:
    'The log that is named lacks a measurement, was changed, or is of another boot: see who can write it; restart the agent to send it whole.',
  quote_unexplained:
    'One of the logs lacks a measurement, was changed, or is of another boot: see the host; restart its agent to send them whole.',
  nothing_measured:
    'Let the host measure (UEFI and TPM enabled in the firmware, IMA rules), or take the component out of its policy.',
  // events of the firmware
  event_data_mismatch:
    'The text of the event is not what was measured: see who can change the log on the host.',
  event_digest_unknown: addReference,
  events_ignored: 'Accept digests instead of leaving types of events out: a type is not measured.',
  separator_missing: firmwareBug,
  separator_repeated: firmwareBug,
  separator_value: firmwareBug,
  separator_error: 'The firmware reported that it failed: see the console of the host.',
  // Secure Boot
  secure_boot_off: 'Turn Secure Boot on in the firmware of the host.',
  secure_boot_unmeasured: firmwareBug,
  secure_boot_mode: 'Leave setup and audit mode: enrol a platform key.',
  firmware_debug_mode: 'Turn off debugging in the firmware, or replace the debug build.',
  variable_malformed: firmwareBug,
  variable_repeated: firmwareBug,
  variable_unexpected: addReference,
  variable_after_separator: firmwareBug,
  platform_key_unknown: 'See who owns the platform; to accept the key, add it to platformKeys.',
  key_exchange_key_unknown: 'See who enrolled it; to accept the key, add it to keyExchangeKeys.',
  key_missing: 'Enrol the key: Secure Boot without it protects nothing.',
  db_entry_unknown: 'See who enrolled it; to accept it, add it to allowed.',
  dbx_entry_missing: 'Update the revocation list of the host (`fwupdmgr update`, `dbxtool`).',
  authority_unknown:
    'See who signed what was started; to accept it, add its certificate to allowed or the event to accept.',
  shim_validation_off: 'Turn validation on again: `mokutil --enable-validation`.',
  sbat_level_low: 'Update shim and its SBAT level on the host.',
  sbat_level_missing: 'Update shim: this one measures no SBAT level.',
  // boot chain
  boot_image_unknown: addReference,
  boot_kernel_foreign:
    'The kernel belongs to a unified image that was not started before it: see what boots.',
  boot_event_unknown: addReference,
  uki_sections_unknown:
    'Make a reference of the image that is installed: `touchmark-server reference create --from uki FILE`.',
  uki_sections_mixed: 'Sections of several accepted images were started together: see what boots.',
  kexec: 'Reboot through the firmware, or allow kexec in the boot chain of the policy.',
  kexec_uncertain:
    'See who can change the list on the host; let the agent read it whole, quote PCR 10, and set ima_template=ima-sig.',
  boot_aggregate_missing: 'The list does not begin at the start of the kernel: see the host.',
  boot_aggregate_mismatch:
    'The list belongs to another boot, or to a kernel that kexec started: reboot the host.',
  boot_aggregate_unchecked: 'Set ima_hash= to the bank that is quoted.',
  // command line
  command_line_unknown: 'To accept it, add it to commandLines of a reference set or a glob to the policy.',
  command_line_unreadable: 'Only its digest is measured: add the exact line to a reference set.',
  command_line_uncertain:
    'Give the policy a boot chain rule as strict as this one, or add the digest to bootChain of a reference set: an unknown event may be a command line.',
  command_line_missing: 'Boot a loader or kernel that measures its command line.',
  command_line_word_missing: 'Add the word to the command line of the host.',
  command_line_word_forbidden: 'Remove the word from the command line of the host.',
  // user space
  userspace_pcr_unexpected:
    'See who writes the userspace log: an event of the boot was moved into it, or a service measures where it must not.',
  userspace_record_untold:
    'See who can write the log, and whether an event of the boot was moved into it: systemd writes down the text of what it measures.',
  userspace_record_uncertain:
    'Give the policy a userspace rule as strict as this one, or accept the text in it: what nothing accepts may be an event of the boot.',
  userspace_record_moved:
    'Give the policy a boot chain rule as strict as its userspace rule: an unknown event may be a record of user space.',
  userspace_record_unknown:
    'To accept it, add a glob of its text to the policy, or its digest to a reference set.',
  userspace_text_mismatch:
    'The text of the record is not what was measured: see who can change the log on the host.',
  userspace_text_unproven:
    'Its text cannot be checked, as it is measured under a key; accept its digest to be sure.',
  // run-time
  file_unknown:
    'See what it is; to accept it, add it to a reference set (`touchmark-server reference create --from dir|package`).',
  file_modified: 'See who changed the file; after an update, publish the reference set of the new version.',
  file_violation:
    'See who writes to the file while it is read or run; log files can be left out of the IMA rules.',
  files_excluded: 'Shorten the exclude list: what it names is not judged.',
  ima_entry_malformed: resend,
  ima_entry_forged: resend,
  ima_template_unknown: 'Set ima_template=ima-sig on the host.',
  ima_pcr_unexpected: 'Remove pcr= from the IMA rules of the host.',
  ima_buffer_unknown: addReference,
  ima_key_unknown: 'See who loaded the key; to accept it, add its certificate to fileSigners.',
  ima_rules_unproven:
    'Accept a command line with the words of rules.commandLine; for rules.policies, with ima_policy=tcb, and load the file from /etc/ima/ima-policy.',
  ima_policy_unknown:
    'See who changed the IMA rules of the host: they replace those of the command line. To accept them, add the digest to rules.policies.',
  agent_not_referenced: 'Add a reference set of the agent package, or turn agentMeasured off.',
  agent_not_measured: 'Load IMA rules that measure the agent (its package ships them), then restart it.',
} as const;

export type ReasonCode = keyof typeof reasonTable;

/** What to do about a reason; empty for a code that is not of this table. */
export function remedyOf(code: string): string {
  return Object.hasOwn(reasonTable, code) ? reasonTable[code as ReasonCode] : '';
}
