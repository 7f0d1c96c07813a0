import type { Finding, FindingCode } from '../finding.js';
import type { BootEvent } from './boot-log.js';
import { eventType } from './event-types.js';

const SIGNATURE = Buffer.from('StartupLocality\0', 'latin1');

export interface Startup {
  /** What the last byte of PCR 0 was at its start. */
  readonly locality: 0 | 3 | 4;
  readonly findings: readonly Finding[];
}

/**
 * How PCR 0 began: at the locality of TPM2_Startup, or at 4 when an H-CRTM was measured before it. Nobody vouches for the
 * event, but a false one gives a PCR 0 that no quote confirms. One that breaks a rule is reported and left aside.
 */
export function startupOf(events: readonly BootEvent[]): Startup {
  const extending = events.filter(({ pcr, type }) => pcr === 0 && type !== eventType.noAction);
  const first = extending[0];
  const findings: Finding[] = extending
    .slice(1)
    .filter(({ type }) => type === eventType.efiHcrtmEvent)
    .map(({ index }) => finding('hcrtm_late', index, 'measures an H-CRTM after PCR 0 was extended'));
  const told = toldLocality(events, first?.index ?? Number.POSITIVE_INFINITY, findings);
  if (first?.type !== eventType.efiHcrtmEvent) return { locality: told ?? 0, findings };
  if (told !== undefined && told !== 4) {
    findings.push(
      finding(
        'startup_locality_conflict',
        first.index,
        `measures an H-CRTM, but the log tells locality ${told}`,
      ),
    );
  }
  return { locality: 4, findings };
}

function toldLocality(
  events: readonly BootEvent[],
  firstExtend: number,
  findings: Finding[],
): 0 | 3 | 4 | undefined {
  let told: 0 | 3 | 4 | undefined;
  for (const event of events.filter(isStartupLocality)) {
    const value = event.data[SIGNATURE.length];
    const whole = event.data.length === SIGNATURE.length + 1;
    if (told !== undefined) {
      findings.push(
        finding('startup_locality_repeated', event.index, 'tells the startup locality once more'),
      );
    } else if (event.index > firstExtend) {
      findings.push(
        finding('startup_locality_late', event.index, 'tells the startup locality after PCR 0 was extended'),
      );
    } else if (whole && (value === 0 || value === 3 || value === 4)) {
      told = value;
    } else {
      const text = whole ? `startup locality ${value}` : `a startup locality of ${event.data.length} bytes`;
      findings.push(finding('startup_locality_invalid', event.index, `tells ${text}`));
    }
  }
  return told;
}

function isStartupLocality({ type, data }: BootEvent): boolean {
  return type === eventType.noAction && SIGNATURE.equals(data.subarray(0, SIGNATURE.length));
}

function finding(code: FindingCode, event: number, what: string): Finding {
  return { code, event, message: `event ${event} ${what}` };
}
