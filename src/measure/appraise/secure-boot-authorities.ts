import { addBoot, type SeenEvent } from './boot-events.js';
import { hex, quoted } from './digest-text.js';
import { authorityData, type EfiVariable, efiGuid, signatureNames } from './efi-variable.js';
import type { SecureBootContext } from './secure-boot-context.js';

/** Certificates that shim has in itself or keeps for the owner of the machine. */
const shimLists = new Set(['Shim', 'vendor_db', 'vendor_dbx', 'MokList', 'MokListRT']);

/**
 * What vouched for an image that was started. It must be in db; or, where shim vouched, be named by the policy (without a
 * list of names: shim itself was vouched for before, and which shim that is the boot chain judges).
 */
export function judgeAuthority(
  seen: SeenEvent,
  variable: EfiVariable,
  accepted: boolean,
  context: SecureBootContext,
): void {
  const { name } = variable;
  const { tally, facts } = context;
  if (name === 'SbatLevel' && variable.guid === efiGuid.shim) {
    const level = /^sbat,1,(\d{10})(\n|$)/.exec(Buffer.from(variable.value).toString('latin1'))?.[1];
    if (level) facts.sbatLevels.push(level);
    else if (!accepted) addBoot(tally, 'fail', 'variable_malformed', seen, 'is an SBAT level without a date');
    return;
  }
  if (name === 'MokSBState' && variable.value.some((byte) => byte !== 0)) {
    addBoot(tally, 'fail', 'shim_validation_off', seen, 'says that shim checks no signatures');
    return;
  }
  if (accepted || isKnown(variable, context)) return;
  addBoot(tally, 'fail', 'authority_unknown', seen, `names ${quoted(name)}, which is in no list`);
}

function isKnown(variable: EfiVariable, { facts, rule }: SecureBootContext): boolean {
  const { name, guid, value } = variable;
  if (guid === efiGuid.imageSecurity && name === 'db') {
    const found = facts.db.has(hex(authorityData(value)));
    if (found) facts.authorised = true;
    return found;
  }
  // Says only whether keys of the owner are believed; the keys themselves are in PCR 14.
  if (name === 'MokListTrusted' || name === 'MokSBState') return guid === efiGuid.shim;
  if (!shimLists.has(name) || !facts.authorised) return false;
  if (rule.allowed.length === 0) return true;
  const names = [...signatureNames(value), ...signatureNames(authorityData(value))];
  return names.some((one) => rule.allowed.includes(one));
}
