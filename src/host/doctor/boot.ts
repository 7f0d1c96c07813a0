import { messageOf } from '../../errors.js';
import { type ReplayedBanks, startValue } from '../../measure/banks.js';
import { MAX_BOOT_LOG, parseBootLog } from '../../measure/boot/boot-log.js';
import { replayBootLog } from '../../measure/boot/boot-replay.js';
import type { Finding } from '../../measure/finding.js';
import { MAX_USERSPACE_LOG, parseUserspaceLog } from '../../measure/userspace/userspace-log.js';
import { replayUserspaceLog } from '../../measure/userspace/userspace-replay.js';
import type { PcrValues } from '../../tpm/pcr.js';
import { bootLogPath } from '../measurements/measurements.js';
import { readTwice, readUserspaceLog } from '../measurements/read-whole.js';
import type { PcrBank, TpmDevice } from '../tpm.js';
import { type DoctorFinding, type FindingCode, found } from './findings.js';
import { isAbsent, isDenied, type Subject } from './subject.js';

/** PCR 10 is IMA's, and those from 16 on are for debugging and late launch. */
const bootPcrs = Array.from({ length: 16 }, (_, pcr) => pcr).filter((pcr) => pcr !== 10);
/** What user space extends after the firmware's log was closed. */
const laterPcrs = new Set([8, 9, 11, 12, 13, 15]);
const MOST_REMARKS = 10;

/** The logs of firmware and user space: there, whole, and explaining the registers of every bank. */
export async function examineBoot(subject: Subject, tpm: TpmDevice | undefined): Promise<DoctorFinding[]> {
  // Before the logs, so that these hold everything that the registers do.
  const registers = await readRegisters(tpm);
  const boot = await readBoot(subject);
  const userspace = await readUserspace(subject, boot.replay);
  const findings = [...boot.findings, ...userspace.findings];
  if (boot.replay === undefined) return findings;
  for (const [bank, values] of registers)
    findings.push(...compare(bank, values, boot.replay, userspace.replay));
  return findings;
}

type Registers = ReadonlyMap<PcrBank, PcrValues>;

async function readRegisters(tpm: TpmDevice | undefined): Promise<Registers> {
  const registers = new Map<PcrBank, PcrValues>();
  if (tpm === undefined) return registers;
  for (const { bank } of (await tpm.describe()).banks)
    registers.set(bank, await tpm.pcrRead({ bank, pcrs: bootPcrs }));
  return registers;
}

interface Replayed {
  readonly findings: DoctorFinding[];
  /** undefined: there is no log that could be replayed. */
  readonly replay?: ReplayedBanks;
}

async function readBoot(subject: Subject): Promise<Replayed> {
  const path = bootLogPath(subject);
  const bytes = await tried(() => readTwice(path, MAX_BOOT_LOG), 'boot_log', path);
  if (!Buffer.isBuffer(bytes)) return { findings: [bytes] };
  try {
    const log = parseBootLog(bytes);
    const replay = replayBootLog(log);
    const banks = log.algorithms.map(({ bank }) => bank).join(', ');
    const message = `the firmware logged ${log.events.length} events for ${banks}, ${bytes.length} bytes`;
    return { replay, findings: [found('boot_log', message), ...remarks(replay.findings)] };
  } catch (error) {
    return { findings: [found('boot_log_invalid', messageOf(error))] };
  }
}

async function readUserspace({ userspaceLog }: Subject, start?: ReplayedBanks): Promise<Replayed> {
  const read = () => readUserspaceLog(userspaceLog, MAX_USERSPACE_LOG);
  const bytes = await tried(read, 'userspace_log', userspaceLog);
  if (!Buffer.isBuffer(bytes)) return { findings: [bytes] };
  try {
    const log = parseUserspaceLog(bytes);
    const replay = replayUserspaceLog(log, start);
    const message = `systemd logged ${log.events.length} measurements`;
    return { replay, findings: [found('userspace_log', message), ...remarks(replay.findings)] };
  } catch (error) {
    return { findings: [found('userspace_log_invalid', messageOf(error))] };
  }
}

async function tried(
  read: () => Promise<Buffer>,
  log: 'boot_log' | 'userspace_log',
  path: string,
): Promise<Buffer | DoctorFinding> {
  try {
    return await read();
  } catch (error) {
    if (isAbsent(error)) return found(`${log}_absent`, `there is no ${path}`);
    if (isDenied(error)) return found('not_seen', `${path} is not readable here, so it was not looked at`);
    return found(`${log}_unreadable`, messageOf(error));
  }
}

function remarks(findings: readonly Finding[]): DoctorFinding[] {
  const shown = findings.slice(0, MOST_REMARKS).map(({ code, event, message }) => {
    const where = event === null ? '' : `event ${event}: `;
    return found('boot_log_remark', `${where}${message} (${code})`);
  });
  const more = findings.length - shown.length;
  return more > 0 ? [...shown, found('boot_log_remark', `${more} more remarks are not shown`)] : shown;
}

/** Register by register, since one that does not fit says nothing about the others. */
function compare(
  bank: PcrBank,
  registers: PcrValues,
  boot: ReplayedBanks,
  userspace: ReplayedBanks | undefined,
): DoctorFinding[] {
  const fromBoot = boot.pcrs.get(bank);
  if (fromBoot === undefined)
    return [
      found('boot_log_bank_missing', `bank ${bank} is allocated, and the firmware logs nothing for it`),
    ];
  const derived = (pcr: number) =>
    userspace?.pcrs.get(bank)?.get(pcr) ?? fromBoot.get(pcr) ?? startValue(bank, pcr);
  const open = bootPcrs.filter((pcr) => [boot, userspace].some((log) => log?.gaps.get(bank)?.has(pcr)));
  const known = bootPcrs.filter((pcr) => registers.has(pcr) && !open.includes(pcr));
  const differing = known.filter(
    (pcr) => Buffer.compare(registers.get(pcr) ?? new Uint8Array(), derived(pcr)) !== 0,
  );
  const say = (code: FindingCode, pcrs: readonly number[], what: string) =>
    pcrs.length === 0 ? [] : [found(code, `${bank}: PCR ${pcrs.join(', ')} ${what}`)];
  const firmware = differing.filter((pcr) => !laterPcrs.has(pcr));
  const later = differing.filter((pcr) => laterPcrs.has(pcr));
  const explained = known.filter((pcr) => !differing.includes(pcr));
  return [
    ...say('boot_log_bank_missing', open, 'cannot be compared: some events have no digest of this bank'),
    ...say('boot_log', explained, 'hold what the logs say'),
    ...say('boot_log_mismatch', firmware, 'hold something else than the log of the firmware says'),
    ...say('userspace_unexplained', later, 'hold something else than the logs say'),
  ];
}
