import { digest, type HashName } from '../../tpm/algorithms.js';
import { eventType } from '../boot/event-types.js';
import type { SecureBootRule } from '../policy/model.js';
import { addBoot, refusedForItsData, type SeenEvent, type SeenEvents, separators } from './boot-events.js';
import type { Compiled } from './compile.js';
import { digestText, quoted } from './digest-text.js';
import { type EfiVariable, efiGuid, readEfiVariable } from './efi-variable.js';
import { judgeAuthority } from './secure-boot-authorities.js';
import type { SecureBootContext, SecureBootFacts } from './secure-boot-context.js';
import { judgeLists, noLists } from './secure-boot-lists.js';
import { type Counting, counting, type Tally } from './tally.js';

const PCR = 7;
const DEBUG_MODE = 'UEFI Debug Mode';

/** Variables whose names and owners the specification fixes; anything else needs a reference to its digest. */
const known: ReadonlyMap<string, string> = new Map([
  ['SecureBoot', efiGuid.global],
  ['PK', efiGuid.global],
  ['KEK', efiGuid.global],
  ['SetupMode', efiGuid.global],
  ['AuditMode', efiGuid.global],
  ['DeployedMode', efiGuid.global],
  ['db', efiGuid.imageSecurity],
  ['dbx', efiGuid.imageSecurity],
  ['dbt', efiGuid.imageSecurity],
  ['dbr', efiGuid.imageSecurity],
]);

/**
 * Judges PCR 7: every event is a separator, a variable or an authority whose data is what was measured, or is accepted as
 * a whole. That an authority is in db is checked; what it signed is for the boot chain.
 */
export function judgeSecureBoot(
  events: SeenEvents,
  compiled: Compiled,
  rule: SecureBootRule,
  bank: HashName,
): Tally {
  const tally = counting();
  const separator = separators(bank, tally);
  const facts: SecureBootFacts = { variables: new Map(), db: new Set(), sbatLevels: [], authorised: false };
  const debug = digestText(bank, digest(bank, Buffer.from(DEBUG_MODE)));
  for (const seen of events(PCR)) {
    tally.check();
    if (separator.take(seen)) continue;
    if (seen.digest === debug) {
      addBoot(
        tally,
        'fail',
        'firmware_debug_mode',
        seen,
        'says that a debugger can be attached to the firmware',
      );
    } else if (!refusedForItsData(tally, seen)) {
      judgeEvent(seen, { tally, facts, compiled, rule, late: separator.seen(PCR) });
    }
  }
  if (events(PCR).length === 0) {
    const message = 'nothing was measured into PCR 7';
    tally.add('unknown', () => ({ code: 'nothing_measured', message, log: 'boot-log', pcr: PCR }));
    return tally.done();
  }
  separator.end([PCR]);
  judgeWhole(tally, facts, rule);
  return tally.done();
}

function judgeEvent(seen: SeenEvent, context: SecureBootContext): void {
  const { type, data } = seen.event;
  const { tally, compiled } = context;
  const accepted = compiled.secureBoot.has(seen.digest);
  if (type !== eventType.efiVariableDriverConfig && type !== eventType.efiVariableAuthority) {
    if (!accepted) addBoot(tally, 'fail', 'event_digest_unknown', seen, 'is none that belongs into PCR 7');
    return;
  }
  const variable = readEfiVariable(data);
  if (!variable) {
    if (!accepted) addBoot(tally, 'fail', 'variable_malformed', seen, 'is no UEFI variable');
  } else if (type === eventType.efiVariableAuthority) judgeAuthority(seen, variable, accepted, context);
  else judgeVariable(seen, variable, accepted, context);
}

function judgeVariable(
  seen: SeenEvent,
  variable: EfiVariable,
  accepted: boolean,
  { tally, facts, rule, late }: SecureBootContext,
): void {
  const { guid, name } = variable;
  const key = `${guid} ${name}`;
  if (late) {
    addBoot(tally, 'fail', 'variable_after_separator', seen, `measures ${quoted(name)} after the separator`);
  }
  if (facts.variables.has(key)) {
    addBoot(tally, 'fail', 'variable_repeated', seen, `measures ${quoted(name)} once more`);
    return;
  }
  facts.variables.set(key, variable);
  if (known.get(name) !== guid) {
    if (!accepted) addBoot(tally, 'fail', 'variable_unexpected', seen, `measures ${quoted(name)} of ${guid}`);
    return;
  }
  if ((name === 'SetupMode' || name === 'AuditMode') && variable.value.some((byte) => byte !== 0)) {
    addBoot(tally, 'fail', 'secure_boot_mode', seen, `says that ${name} is on`);
  }
  if (name === 'SecureBoot' && rule.enabled && !isOn(variable)) {
    addBoot(tally, 'fail', 'secure_boot_off', seen, 'says that Secure Boot is off');
  }
  judgeLists(seen, variable, { tally, facts, rule: accepted ? { ...rule, ...noLists } : rule });
}

function isOn({ value }: EfiVariable): boolean {
  return value.length === 1 && value[0] === 1;
}

function judgeWhole(tally: Counting, facts: SecureBootFacts, rule: SecureBootRule): void {
  const missing = (name: string) => !facts.variables.has(`${known.get(name)} ${name}`);
  if (rule.enabled && missing('SecureBoot')) {
    const message = 'PCR 7 does not hold whether Secure Boot is on';
    tally.add('fail', () => ({ code: 'secure_boot_unmeasured', message, log: 'boot-log', pcr: PCR }));
  }
  const wanted = [
    { name: 'PK', rows: rule.platformKeys },
    { name: 'KEK', rows: rule.keyExchangeKeys },
    { name: 'db', rows: rule.allowed },
    { name: 'dbx', rows: rule.revokedAtLeast },
  ];
  for (const { name, rows } of wanted) {
    const needed = rows.length > 0 || (rule.enabled && name !== 'dbx');
    if (!needed || !missing(name)) continue;
    const message = `PCR 7 does not hold the variable ${name}`;
    tally.add('fail', () => ({ code: 'key_missing', message, log: 'boot-log', pcr: PCR }));
  }
  judgeSbat(tally, facts.sbatLevels, rule.sbatLevelAtLeast);
}

/** Dates are ten digits, so text order is their order. */
function judgeSbat(tally: Counting, levels: readonly string[], least: string): void {
  if (least === '') return;
  const add = (code: 'sbat_level_missing' | 'sbat_level_low', message: string) =>
    tally.add('fail', () => ({ code, message, log: 'boot-log', pcr: PCR }));
  if (levels.length === 0) add('sbat_level_missing', 'no SBAT level was measured');
  for (const level of levels.filter((one) => one < least)) {
    add('sbat_level_low', `the SBAT level is ${level}, at least ${least} is asked for`);
  }
}
