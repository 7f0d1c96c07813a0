import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../errors.js';
import { matchBootAggregate } from '../../measure/ima/boot-aggregate.js';
import { imaBinaryReader } from '../../measure/ima/ima-binary.js';
import { readImaEntry } from '../../measure/ima/ima-entry.js';
import type { ImaRecord } from '../../measure/ima/ima-record.js';
import { IMA_PCR, imaReplay } from '../../measure/ima/ima-replay.js';
import type { ImaFileDigest } from '../../measure/ima/ima-template.js';
import type { PcrValues } from '../../tpm/pcr.js';
import type { LogSnapshot } from '../measurements/contract.js';
import { openMeasurements } from '../measurements/measurements.js';
import type { PcrBank, TpmDevice } from '../tpm.js';
import { type DoctorFinding, found } from './findings.js';
import type { Subject } from './subject.js';

/** More than this an hour, over the whole time since boot, does not end well. */
const MANY_AN_HOUR = 20_000;
const FEW_HOURS = 0.5;

/** The kernel's list: there, under rules, and explaining PCR 10. */
export async function examineIma(subject: Subject, tpm: TpmDevice | undefined): Promise<DoctorFinding[]> {
  // Before the list, which then holds everything that the register does.
  const registers = await readRegisters(tpm);
  await using measurements = openMeasurements(subject);
  const list = new ListWalk(registers);
  const problem = await walk(measurements.snapshot(), list);
  if (problem !== undefined) return [problem];
  return [
    found('ima', `IMA has measured ${list.entries} entries, template ${list.template || 'unknown'}`),
    ...list.explained(),
    ...(await rules(subject, list)),
    ...(await growth(subject, list.entries)),
    ...(list.fileHash === '' || list.fileHash === 'sha256'
      ? []
      : [found('ima_hash_other', `IMA hashes files by ${list.fileHash}`)]),
    ...(list.violations > 0 ? [found('ima_violations', `${list.violations} entries are violations`)] : []),
  ];
}

interface Registers {
  readonly bank: PcrBank;
  readonly values: PcrValues;
}

async function readRegisters(tpm: TpmDevice | undefined): Promise<Registers | undefined> {
  const banks = (await tpm?.describe())?.banks ?? [];
  const bank = banks.find(({ bank: name }) => name === 'sha256')?.bank ?? banks[0]?.bank;
  if (tpm === undefined || bank === undefined) return undefined;
  const pcrs = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, IMA_PCR];
  return { bank, values: await tpm.pcrRead({ bank, pcrs }) };
}

/** What one pass over the list tells. */
class ListWalk {
  entries = 0;
  violations = 0;
  template = '';
  /** By which algorithm files are hashed now; empty: none was. */
  fileHash = '';
  /** Entries whose path ends in this are the rules themselves. */
  policyMeasured = false;
  readonly #registers: Registers | undefined;
  readonly #replays: readonly { readonly padded: boolean; readonly replay: ReturnType<typeof imaReplay> }[];
  #matched: { readonly padded: boolean; readonly entries: number } | undefined;
  #aggregate: ImaFileDigest | undefined;

  constructor(registers: Registers | undefined) {
    this.#registers = registers;
    const bank = registers?.bank;
    this.#replays =
      bank === undefined
        ? []
        : [false, true].map((padded) => ({ padded, replay: imaReplay(bank, { paddedSha1: padded }) }));
    this.#look();
  }

  take(record: ImaRecord): void {
    this.entries += 1;
    if (record.violation) this.violations += 1;
    const entry = readImaEntry(record);
    this.template = record.template;
    if (this.entries === 1 && entry.fileDigest !== undefined) this.#aggregate = entry.fileDigest;
    else if (entry.fileDigest?.of === 'file') this.fileHash = entry.fileDigest.algorithm;
    if (/ima[-_]policy/.test(entry.path?.text ?? '')) this.policyMeasured = true;
    for (const { replay } of this.#replays) replay.extend(record);
    this.#look();
  }

  explained(): DoctorFinding[] {
    if (this.#registers === undefined) return [];
    const { bank, values } = this.#registers;
    const findings: DoctorFinding[] = [];
    if (this.#matched === undefined) {
      const message = `the list does not lead to what PCR ${IMA_PCR} of ${bank} holds`;
      return [found('ima_mismatch', message)];
    }
    const { padded, entries } = this.#matched;
    if (padded) findings.push(found('ima_padded_sha1', `the kernel extends SHA-1 digests into ${bank}`));
    else
      findings.push(found('ima', `PCR ${IMA_PCR} of ${bank} holds the first ${entries} of ${this.entries}`));
    if (this.#aggregate?.algorithm !== bank) return findings;
    const span = matchBootAggregate(this.#aggregate, bank, values);
    if (span === undefined)
      findings.push(found('ima_aggregate_mismatch', 'boot_aggregate is not of the boot registers'));
    else findings.push(found('ima_aggregate', `boot_aggregate is of PCR ${span}`));
    return findings;
  }

  #look(): void {
    if (this.#matched !== undefined || this.#registers === undefined) return;
    const wanted = this.#registers.values.get(IMA_PCR);
    for (const { padded, replay } of this.#replays) {
      const now = replay.value(IMA_PCR) ?? new Uint8Array(wanted?.length ?? 0);
      if (wanted === undefined || Buffer.compare(now, wanted) !== 0) continue;
      this.#matched = { padded, entries: this.entries };
      return;
    }
  }
}

async function walk(snapshot: LogSnapshot, list: ListWalk): Promise<DoctorFinding | undefined> {
  const reader = imaBinaryReader();
  for (let offset = 0; ; ) {
    const part = await snapshot.read({ log: 'ima-list', offset, knownSha256: new Uint8Array(), maxBytes: 0 });
    if (part.state === 'absent') return found('ima_off', part.reason);
    if (part.state === 'unreadable') {
      const denied = part.reason.startsWith('this process may not read');
      return found(denied ? 'not_seen' : 'ima_unreadable', part.reason);
    }
    try {
      for (const record of reader.push(part.data)) list.take(record);
      if (part.remaining === 0) {
        reader.end();
        return undefined;
      }
    } catch (error) {
      return found('ima_invalid', messageOf(error));
    }
    offset += part.data.length;
  }
}

async function rules({ machine }: Subject, list: ListWalk): Promise<DoctorFinding[]> {
  const commandLine = await readFile(join(machine.proc, 'cmdline'), 'utf8').catch(() => '');
  const words = commandLine.split(/\s+/).filter((word) => /^ima_(policy|tcb|appraise)/.test(word));
  if (words.length > 0) return [found('ima_rules', `the kernel command line says ${words.join(' ')}`)];
  if (list.policyMeasured) return [found('ima_rules', 'the policy file that was loaded is in the list')];
  if (list.entries <= 1) return [found('ima_no_rules', 'nothing but boot_aggregate is measured')];
  return [found('ima_rules_unknown', 'something is measured, and nothing in evidence says by which rules')];
}

async function growth({ machine }: Subject, entries: number): Promise<DoctorFinding[]> {
  const uptime = await readFile(join(machine.proc, 'uptime'), 'utf8').catch(() => '');
  const hours = Number.parseFloat(uptime) / 3600;
  if (!Number.isFinite(hours) || hours < FEW_HOURS || entries / hours < MANY_AN_HOUR) return [];
  const message = `the list grows by ${Math.round(entries / hours)} entries an hour`;
  return [found('ima_growing', message)];
}
