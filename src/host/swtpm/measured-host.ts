import { appendFile, type FileHandle, mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createLane } from '../../../native/lane.js';
import { parseBootLog } from '../../measure/boot/boot-log.js';
import { replayBootLog } from '../../measure/boot/boot-replay.js';
import { bootAggregate } from '../../measure/ima/boot-aggregate.js';
import { parseImaBinary } from '../../measure/ima/ima-binary.js';
import { digest, type HashName, hashByName } from '../../tpm/algorithms.js';
import { bootEvents, type MadeBoot } from './boot-events.js';
import { imaRecord, imaSigData, userspaceRecord, writeBootLog } from './log-writer.js';
import { extendPcr } from './pcr-extend.js';

/**
 * The measurements of a host that nobody booted: a directory with the three logs, and a software TPM whose PCRs were extended by
 * exactly these. For tests and `touchmark dev`.
 */
export interface MeasuredHost extends AsyncDisposable {
  /** Takes the place of /sys/kernel/security: `measurement.securityfs` of the agent. */
  readonly securityfs: string;
  /** Takes the place of systemd's tpm2-measure.log: `measurement.userspace_log`. */
  readonly userspaceLogPath: string;
  readonly bootLogPath: string;
  readonly imaListPath: string;
  /** Entries of the IMA list. */
  readonly imaEntries: number;
  /** IMA measures a file of this content: the list first, then PCR 10. What is in the list already is not measured again. */
  extendFile(path: string, content: Uint8Array | string): Promise<void>;
  /** The same, by the content's SHA-256. */
  extendDigest(path: string, sha256: Uint8Array): Promise<void>;
  /** The file was written to while it was measured. */
  violation(path: string): Promise<void>;
  /** systemd measures a text: PCR 11 for phases, 15 for `machine-id:…`. */
  measureText(pcr: number, text: string, eventType?: string): Promise<void>;
}

export interface MeasuredHostOptions {
  /** Existing directory; logs of an earlier boot in it are replaced. */
  readonly dir: string;
  /** A software TPM that was just powered up: what its PCRs hold already, no log would explain. */
  readonly tcti: string;
  readonly boot?: MadeBoot;
  /** Banks that are extended, and that the logs have digests for. */
  readonly banks?: readonly HashName[];
  /** false: a kernel without IMA, so that there is no list at all. */
  readonly ima?: boolean;
}

const phases = ['enter-initrd', 'leave-initrd', 'sysinit', 'ready'];
const IMA_PCR = 10;

/** Boots the host as far as its logs tell: firmware, UKI, kernel with boot_aggregate, systemd's phases. */
export async function createMeasuredHost(options: MeasuredHostOptions): Promise<MeasuredHost> {
  const { dir, tcti, banks = ['sha1', 'sha256'], boot, ima = true } = options;
  const securityfs = join(dir, 'securityfs');
  for (const part of ['tpm0', ...(ima ? ['ima'] : [])])
    await mkdir(join(securityfs, part), { recursive: true });
  const extend = (pcr: number, digestOf: (bank: HashName) => Uint8Array) =>
    extendPcr(tcti, pcr, new Map(banks.map((bank) => [bank, digestOf(bank)])));
  const events = bootEvents(boot);
  const bootLogPath = join(securityfs, 'tpm0', 'binary_bios_measurements');
  const bootLog = writeBootLog(events, banks);
  await writeFile(bootLogPath, bootLog);
  for (const { pcr, measured } of events) await extend(pcr, (bank) => digest(bank, measured));
  const userspaceLogPath = join(dir, 'tpm2-measure.log');
  await writeFile(userspaceLogPath, '');
  const list = ima ? await openList(join(securityfs, 'ima'), extend, 'w') : undefined;
  const host = hostOver({ securityfs, userspaceLogPath, bootLogPath, banks, extend, list });
  await list?.add('ima-sig', imaSigData('boot_aggregate', aggregateOf(bootLog)));
  for (const phase of phases) await host.measureText(11, phase);
  return host;
}

/**
 * IMA of a host that another process made measures one file more, as the kernel does when it is run for the first time.
 * One process at a time: nothing keeps two from mixing up the order of list and chip.
 */
export async function measureFile(
  { dir, tcti, banks = ['sha1', 'sha256'] }: Pick<MeasuredHostOptions, 'dir' | 'tcti' | 'banks'>,
  path: string,
  sha256: Uint8Array,
): Promise<void> {
  const extend: Extend = (pcr, digestOf) =>
    extendPcr(tcti, pcr, new Map(banks.map((bank) => [bank, digestOf(bank)])));
  const list = await openList(join(dir, 'securityfs', 'ima'), extend, 'a');
  try {
    await list.add('ima-sig', imaSigData(path, sha256));
  } finally {
    await list.close();
  }
}

type Extend = (pcr: number, digestOf: (bank: HashName) => Uint8Array) => Promise<void>;

interface Parts extends Pick<MeasuredHost, 'securityfs' | 'userspaceLogPath' | 'bootLogPath'> {
  readonly banks: readonly HashName[];
  readonly extend: Extend;
  readonly list: ImaList | undefined;
}

function hostOver({ banks, extend, list, ...paths }: Parts): MeasuredHost {
  const lane = createLane();
  const add = async (data: Uint8Array, violation = false) =>
    lane.run(async () => list?.add('ima-sig', data, violation));
  return {
    ...paths,
    imaListPath: join(paths.securityfs, 'ima', 'binary_runtime_measurements'),
    get imaEntries() {
      return list?.count() ?? 0;
    },
    extendFile: (path, content) => add(imaSigData(path, digest('sha256', Buffer.from(content)))),
    extendDigest: (path, sha256) => add(imaSigData(path, sha256)),
    violation: (path) => add(imaSigData(path, new Uint8Array(32)), true),
    measureText: (pcr, text, eventType = 'phase') =>
      lane.run(async () => {
        await appendFile(paths.userspaceLogPath, userspaceRecord({ pcr, text, eventType }, banks));
        await extend(pcr, (bank) => digest(bank, Buffer.from(text)));
      }),
    [Symbol.asyncDispose]: async () => list?.close(),
  };
}

interface ImaList {
  add(template: string, data: Uint8Array, violation?: boolean): Promise<void>;
  count(): number;
  close(): Promise<void>;
}

/** @param flag `w` for an empty list, `a` to go on with the one that is there */
async function openList(directory: string, extend: Extend, flag: 'w' | 'a'): Promise<ImaList> {
  const path = join(directory, 'binary_runtime_measurements');
  const before = flag === 'a' ? [...parseImaBinary(await readFile(path))] : [];
  const listed = new Set(before.map(({ data }) => Buffer.from(data).toString('latin1')));
  const list = await open(path, flag);
  const counter = await open(join(directory, 'runtime_measurements_count'), flag === 'a' ? 'r+' : 'w');
  let entries = before.length;
  return {
    count: () => entries,
    async add(template, data, violation = false) {
      const name = Buffer.from(data).toString('latin1');
      if (!violation && listed.has(name)) return;
      listed.add(name);
      // The order of the kernel: a list that was read after a quote is never shorter than what was quoted.
      await list.appendFile(imaRecord(template, data, violation));
      entries += 1;
      await writeCount(counter, entries);
      await extend(IMA_PCR, (bank) =>
        violation ? new Uint8Array(hashByName(bank).size).fill(0xff) : digest(bank, data),
      );
    },
    async close() {
      await list.close();
      await counter.close();
    },
  };
}

/** In place: a reader that holds the file open sees it. */
async function writeCount(counter: FileHandle, entries: number): Promise<void> {
  await counter.write(`${entries}\n`, 0);
}

function aggregateOf(bootLog: Uint8Array): Uint8Array {
  const values = new Map(replayBootLog(parseBootLog(bootLog)).pcrs.get('sha256'));
  for (let pcr = 0; pcr < 10; pcr += 1) if (!values.has(pcr)) values.set(pcr, new Uint8Array(32));
  return bootAggregate('sha256', values, '0-9') ?? new Uint8Array(32);
}
