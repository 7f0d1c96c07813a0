import type { HostRecord } from '../../wire/gen/touchmark/host/v1/host_pb.js';
import { HostState } from '../../wire/gen/touchmark/host/v1/state_pb.js';
import { fields, printable, table } from '../output.js';
import { idText, timeText } from './connect.js';

const stateNames = new Map<HostRecord['state'], string>(
  Object.entries(HostState).map(([name, value]) => [value, name.toLowerCase()]),
);

export function stateName(state: HostRecord['state']): string {
  return stateNames.get(state) ?? 'unknown';
}

/** HostState of a word such as `quarantined`; undefined for another word. */
export function stateOf(word: string): HostRecord['state'] | undefined {
  return [...stateNames].find(([, name]) => name === word)?.[0];
}

export const stateWords: readonly string[] = [...stateNames.values()].filter(
  (name) => name !== 'unspecified',
);

export function hostsTable(hosts: readonly HostRecord[]): string {
  if (hosts.length === 0) return 'No hosts.';
  const rows = hosts.map((host) => [
    host.name === '' ? '-' : printable(host.name),
    stateName(host.state),
    host.id.slice(0, 16),
    chipName(host),
    host.attestation ? timeText(host.attestation.lastQuoteAt) : '-',
    host.pending ? `approve with ${host.pending.code}` : labelsText(host),
  ]);
  return table(['NAME', 'STATE', 'EK', 'CHIP', 'LAST QUOTE', 'LABELS'], rows);
}

/** Everything that is recorded of one host. */
export function hostText(host: HostRecord): string {
  const rows: (readonly [string, string])[] = [
    ['Host', host.id],
    ['Name', printable(host.name)],
    ['SPIFFE ID', idText(host.spiffeId)],
    ['State', stateName(host.state)],
    ...host.reasons.map((reason) => ['Reason', `${reason.code}: ${printable(reason.message)}`] as const),
    ...(host.appraisal ? appraisalRows(host.appraisal) : []),
    ['Labels', labelsText(host)],
    ['Enrolled', host.enrolledBy === '' ? 'no' : `${host.enrolledBy}, ${timeText(host.enrolledAt)}`],
    ...(host.pending ? pendingRows(host.pending) : []),
    ...host.eks.flatMap(ekRows),
    ['AK Name', host.akName],
    ...(host.attestation ? attestationRows(host.attestation) : []),
  ];
  return fields(rows);
}

function appraisalRows({ policyName, group, components }: NonNullable<HostRecord['appraisal']>) {
  const judged = components.map(({ component, result }) => `${component} ${result}`).join(', ');
  if (policyName === '') return [];
  return [
    ['Policy', printable(`${policyName} of group ${group}`)],
    ['Components', judged === '' ? 'none' : judged],
  ] as const;
}

function chipName(host: HostRecord): string {
  const certificate = host.eks.find((ek) => ek.certificate)?.certificate;
  return certificate ? printable(`${certificate.manufacturer} ${certificate.model}`.trim()) : '-';
}

function labelsText(host: HostRecord): string {
  return Object.entries(host.labels)
    .map(([key, value]) => printable(`${key}=${value}`))
    .join(',');
}

function pendingRows(pending: NonNullable<HostRecord['pending']>): [string, string][] {
  return [
    ['Waits for', `host approve ${pending.code}`],
    ['Seen from', `${printable(pending.address)} since ${timeText(pending.firstSeen)}`],
    ['Forgotten at', timeText(pending.expiresAt)],
  ];
}

function ekRows(ek: HostRecord['eks'][number]): [string, string][] {
  const rows: [string, string][] = [['EK', `${ek.algorithm} ${ek.hash}`]];
  if (!ek.certificate) return [...rows, ['  Certificate', 'none in the chip']];
  const { manufacturer, model, firmware, issuer, anchor, notAfter, deviations } = ek.certificate;
  rows.push(
    ['  Vendor', printable(manufacturer)],
    ['  Model', printable(model)],
    ['  Firmware', printable(firmware)],
    ['  Issuer', printable(issuer)],
    ['  Anchor', anchor],
    ['  Ends', notAfter === 0n ? 'never' : timeText(notAfter)],
    ...deviations.map((text): [string, string] => ['  Deviation', printable(text)]),
  );
  return rows;
}

function attestationRows(attestation: NonNullable<HostRecord['attestation']>): [string, string][] {
  return [
    ['Attestations', String(attestation.attestationCount)],
    ['Last quote', timeText(attestation.lastQuoteAt)],
    ['Reset count', String(attestation.resetCount)],
    ['Restart count', String(attestation.restartCount)],
    ['Clock', `${attestation.clock} ms${attestation.safe ? '' : ' (not safe)'}`],
    ['Chip firmware', attestation.firmwareVersion],
    ...Object.entries(attestation.pcrs).map(([index, value]): [string, string] => [
      `PCR ${index}`,
      `${attestation.pcrBank} ${value}`,
    ]),
  ];
}
