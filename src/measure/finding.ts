/** Something odd in a log or an image. Not a verdict: what it means is for the policy to say. */
export interface Finding {
  readonly code: FindingCode;
  /** Index of the event, or null when it is about the whole. */
  readonly event: number | null;
  /** One sentence. Text out of the log is quoted as JSON. */
  readonly message: string;
}

type BootFindingCode =
  | 'bank_incomplete'
  | 'bank_unsupported'
  | 'content_type_unknown'
  | 'digest_mismatch'
  | 'event_type_unexpected'
  | 'hcrtm_late'
  | 'pcr_unexpected'
  | 'separator_error'
  | 'separator_missing'
  | 'separator_repeated'
  | 'separator_value'
  | 'startup_locality_conflict'
  | 'startup_locality_invalid'
  | 'startup_locality_late'
  | 'startup_locality_repeated'
  | 'variable_after_separator';

type ImaFindingCode =
  | 'ima_boot_aggregate_missing'
  | 'ima_boot_aggregate_repeated'
  | 'ima_buffer_digest_mismatch'
  | 'ima_entry_malformed'
  | 'ima_pcr_unexpected'
  | 'ima_template_digest_mismatch'
  | 'ima_template_unknown'
  | 'ima_violation';

type UkiFindingCode =
  | 'pe_certificate_malformed'
  | 'pe_gap'
  | 'pe_trailing_data'
  | 'uki_hardware_dependent'
  | 'uki_kernel_not_pe'
  | 'uki_section_overlap'
  | 'uki_section_repeated'
  | 'uki_section_unmeasured'
  | 'uki_stub_unknown';

export type FindingCode = BootFindingCode | ImaFindingCode | UkiFindingCode;
