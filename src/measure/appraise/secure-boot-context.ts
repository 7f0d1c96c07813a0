import type { SecureBootRule } from '../policy/model.js';
import type { Compiled } from './compile.js';
import type { EfiVariable } from './efi-variable.js';
import type { Counting } from './tally.js';

/** What was seen of PCR 7 so far. */
export interface SecureBootFacts {
  readonly variables: Map<string, EfiVariable>;
  /** Data of the entries of db, as hex. */
  readonly db: Set<string>;
  /** Dates of SBAT levels that were measured. */
  readonly sbatLevels: string[];
  /** Whether an image was authorised by db: what shim vouches for comes after it. */
  authorised: boolean;
}

/** What judging one event of PCR 7 needs. */
export interface SecureBootContext {
  readonly tally: Counting;
  readonly facts: SecureBootFacts;
  readonly compiled: Compiled;
  readonly rule: SecureBootRule;
  /** Whether the separator is behind us. */
  readonly late: boolean;
}
