import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type DoctorFinding, found } from './findings.js';
import { isAbsent, isDenied, type Subject } from './subject.js';

const GLOBAL = '8be4df61-93ca-11d2-aa0d-00e098032b8c';

/** What the firmware says now; what it did at boot is in its log. */
export async function examineSecureBoot({ machine }: Subject): Promise<DoctorFinding[]> {
  const directory = join(machine.sys, 'firmware', 'efi', 'efivars');
  const on = await variable(directory, 'SecureBoot');
  if (typeof on !== 'number') return [on];
  const setup = await variable(directory, 'SetupMode');
  if (setup === 1)
    return [found('secure_boot_setup_mode', 'the firmware is in setup mode, without a platform key')];
  return on === 1
    ? [found('secure_boot_on', 'Secure Boot is on')]
    : [found('secure_boot_off', 'Secure Boot is off')];
}

/** Four bytes of attributes, then the value. */
async function variable(directory: string, name: string): Promise<number | DoctorFinding> {
  const path = join(directory, `${name}-${GLOBAL}`);
  try {
    const bytes = await readFile(path);
    if (bytes.length === 5) return bytes[4] ?? 0;
    return found('secure_boot_unknown', `${path} has ${bytes.length} bytes instead of 5`);
  } catch (error) {
    if (isAbsent(error))
      return found('secure_boot_unknown', `there is no ${path}: no UEFI, or efivarfs is not mounted`);
    if (isDenied(error)) return found('not_seen', `${path} is not readable here, so it was not looked at`);
    throw error;
  }
}
