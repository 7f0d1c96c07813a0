/** Measurement objects and their impact, for people. */
import {
  type HostOutcome,
  type Impact,
  type MeasureObject,
  type ObjectChange,
  ObjectChange_Change,
} from '../../wire/gen/touchmark/measure/v1/measure_pb.js';
import { fields, printable, table } from '../output.js';
import { timeText } from './connect.js';
import { stateName } from './host-view.js';
import { kindWord } from './measure-calls.js';

const signs: Readonly<Record<number, string>> = {
  [ObjectChange_Change.CREATED]: '+',
  [ObjectChange_Change.UPDATED]: '~',
  [ObjectChange_Change.UNCHANGED]: '=',
  [ObjectChange_Change.DELETED]: '-',
};

export function objectsTable(objects: readonly MeasureObject[]): string {
  if (objects.length === 0) return 'None.';
  const rows = objects.map(({ name, hash, hosts, publishedAt, usedBy, summary }) => [
    printable(name),
    hash.slice(0, 12),
    String(hosts),
    timeText(publishedAt),
    usedBy.length === 0 ? '-' : usedBy.map((user) => user.split(' ')[1]).join(','),
    printable(summary),
  ]);
  return table(['NAME', 'VERSION', 'HOSTS', 'SINCE', 'USED BY', 'WHAT'], rows);
}

export function versionsTable(versions: readonly MeasureObject[]): string {
  const rows = versions.map(({ hash, createdAt, createdBy, publishedAt, summary }) => [
    hash,
    timeText(createdAt),
    printable(createdBy),
    publishedAt === 0n ? '-' : timeText(publishedAt),
    printable(summary),
  ]);
  return table(['VERSION', 'MADE', 'BY', 'IN FORCE SINCE', 'WHAT'], rows);
}

export function objectHead(object: MeasureObject): string {
  const rows: (readonly [string, string])[] = [
    ['# version', object.hash],
    ['# made', `${timeText(object.createdAt)} by ${printable(object.createdBy)}`],
    [
      '# in force',
      object.publishedAt === 0n
        ? 'no'
        : `${timeText(object.publishedAt)} by ${printable(object.publishedBy)}`,
    ],
    ['# used by', object.usedBy.join(', ') || 'nothing'],
  ];
  return fields(rows);
}

export function changeLine({ kind, name, change, hash, hashBefore }: ObjectChange): string {
  const versions = [hashBefore, hash].filter((text) => text !== '').map((text) => text.slice(0, 12));
  return `${signs[change] ?? '?'} ${kindWord(kind)} ${name} (${[...new Set(versions)].join(' -> ')})`;
}

/** The hosts whose state changes or is not known, or against which something speaks, the totals, and what follows later. */
export function impactText(impact: Impact | undefined): string {
  if (impact === undefined) return 'No host is judged otherwise.';
  const now = impact.affected === 0 ? 'No host is judged otherwise.' : affectedText(impact);
  return [now, ...laterLines(impact)].join('\n');
}

/** Who updates a fleet has to end the window by naming the new sets, and is told before it ends by itself. */
function laterLines({ lostAtEnd, lostAtEndFrom, lostAtEndHosts }: Impact): string[] {
  if (lostAtEnd === 0) return [];
  const more = lostAtEnd > lostAtEndHosts.length ? [`and ${lostAtEnd - lostAtEndHosts.length} more`] : [];
  const named = [...lostAtEndHosts.map(printable), ...more].join(', ');
  return [
    `warning: from ${timeText(lostAtEndFrom)} on, when acceptNext ends, ${lostAtEnd} hosts would lose their trust: ${named}; name what they show in references before`,
  ];
}

function affectedText(impact: Impact): string {
  const { affected, hosts, good, lost, regained, unknown, held, blastRadius } = impact;
  const told = impact.outcomes.filter(
    ({ stateNow, stateThen, reasons }) => stateNow !== stateThen || reasons.length > 0,
  );
  const lines = [
    ...(told.length === 0 ? [] : [outcomesTable(told)]),
    `${affected} of ${hosts} hosts are judged otherwise; of ${good} good ones ${lost} would lose their trust or identities, ${unknown} cannot be told; ${regained} would regain it`,
    ...(held
      ? [`held: more than ${blastRadius} % of the good hosts would lose their trust or identities`]
      : []),
  ];
  return lines.join('\n');
}

function outcomesTable(outcomes: readonly HostOutcome[]): string {
  const rows = outcomes.map(({ name, hostId, stateNow, stateThen, policyThen, reasons }) => [
    name === '' ? hostId.slice(0, 16) : printable(name),
    stateName(stateNow),
    stateThen === 0 ? '?' : stateName(stateThen),
    policyThen === '' ? '-' : printable(policyThen),
    reasons[0] === undefined ? '-' : printable(`${reasons[0].code}: ${reasons[0].message}`),
  ]);
  return table(['HOST', 'NOW', 'THEN', 'POLICY', 'WHY'], rows);
}
