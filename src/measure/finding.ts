/** Something odd in a log. Not a verdict: what it means is for the policy to say. */
export interface Finding {
  readonly code: FindingCode;
  /** Index of the event, or null when it is about the log as a whole. */
  readonly event: number | null;
  /** One sentence. Text out of the log is quoted as JSON. */
  readonly message: string;
}

export type FindingCode =
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
