import type { Finding, FindingCode } from '../finding.js';
import type { BootEvent } from './boot-log.js';
import { isErrorSeparator, mismatchingBanks } from './checkable-data.js';
import { eventType, eventTypeName } from './event-types.js';

const FIRMWARE_PCRS = [0, 1, 2, 3, 4, 5, 6, 7];
const separatorValues = new Set(['00000000', 'ffffffff']);

/** What may extend the PCRs whose types decide: code of the firmware, boot applications, Secure Boot. */
const expectedTypes: ReadonlyMap<number, ReadonlySet<number>> = new Map([
  [
    0,
    new Set<number>([
      eventType.postCode,
      eventType.separator,
      eventType.crtmContents,
      eventType.crtmVersion,
      eventType.nonhostCode,
      eventType.nonhostConfig,
      eventType.nonhostInfo,
      eventType.efiPlatformFirmwareBlob,
      eventType.efiPlatformFirmwareBlob2,
      eventType.efiHcrtmEvent,
    ]),
  ],
  [4, new Set<number>([eventType.separator, eventType.efiAction, eventType.efiBootServicesApplication])],
  [
    7,
    new Set<number>([eventType.separator, eventType.efiVariableDriverConfig, eventType.efiVariableAuthority]),
  ],
]);

/** @param extending all events but EV_NO_ACTION, in their order. */
export function bootFindings(extending: readonly BootEvent[]): Finding[] {
  const separated = new Set<number>();
  const findings: Finding[] = [];
  for (const event of extending) {
    findings.push(...typeFindings(event), ...dataFindings(event), ...orderFindings(event, separated));
    if (event.type === eventType.separator) separated.add(event.pcr);
  }
  const missing = FIRMWARE_PCRS.filter((pcr) => !separated.has(pcr));
  return [...findings, ...missing.map(missingSeparator)];
}

function typeFindings(event: BootEvent): Finding[] {
  const expected = expectedTypes.get(event.pcr);
  if (!expected || expected.has(event.type)) return [];
  return [
    finding('event_type_unexpected', event, `has type ${eventTypeName(event.type)}, unknown in this PCR`),
  ];
}

function dataFindings(event: BootEvent): Finding[] {
  const banks = mismatchingBanks(event);
  const findings: Finding[] = [];
  if (banks.length > 0) {
    const what = `has data that does not hash to its ${banks.join(', ')} digest`;
    findings.push(finding('digest_mismatch', event, `(${eventTypeName(event.type)}) ${what}`));
  }
  if (isErrorSeparator(event)) {
    findings.push(
      finding('separator_error', event, 'is an error separator: the firmware reported a failure'),
    );
  } else if (event.type === eventType.separator && !hasSeparatorValue(event)) {
    findings.push(finding('separator_value', event, 'is a separator that is neither 00000000 nor ffffffff'));
  }
  return findings;
}

function hasSeparatorValue({ data }: BootEvent): boolean {
  return data.length === 4 && separatorValues.has(Buffer.from(data).toString('hex'));
}

/** Variables are measured before the separator of PCR 7; authorities on either side of it. */
function orderFindings(event: BootEvent, separated: ReadonlySet<number>): Finding[] {
  if (!separated.has(event.pcr)) return [];
  if (event.type === eventType.separator) {
    return [finding('separator_repeated', event, 'is one more separator')];
  }
  if (event.pcr === 7 && event.type === eventType.efiVariableDriverConfig) {
    return [
      finding('variable_after_separator', event, 'measures a Secure Boot variable after the separator'),
    ];
  }
  return [];
}

function missingSeparator(pcr: number): Finding {
  return { code: 'separator_missing', event: null, message: `PCR ${pcr} has no separator` };
}

function finding(code: FindingCode, { index, pcr }: BootEvent, what: string): Finding {
  return { code, event: index, message: `event ${index} in PCR ${pcr} ${what}` };
}
