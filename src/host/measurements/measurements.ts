import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { LogWish, MeasuredLog, SentLogPart } from '../../attest/logs.js';
import { messageOf, TouchmarkError } from '../../errors.js';
import { MAX_BOOT_LOG } from '../../measure/boot/boot-log.js';
import { MAX_USERSPACE_LOG } from '../../measure/userspace/userspace-log.js';
import type { LogSnapshot, MeasurementPaths, Measurements } from './contract.js';
import { ImaCount } from './ima-count.js';
import { ImaList } from './ima-list.js';
import { readTwice, readUserspaceLog } from './read-whole.js';
import { cut, type LogView, viewOf } from './view.js';

/** Opens nothing before it is asked for. */
export function openMeasurements(paths: MeasurementPaths): Measurements {
  const list = new ImaList(paths.securityfs);
  const count = new ImaCount(paths.securityfs);
  return {
    snapshot: () => new Snapshot(paths, list.view()),
    imaCount: () => count.read(),
    async [Symbol.asyncDispose]() {
      await list.close();
      await count.close();
    },
  };
}

/** The kernel has a directory for each chip. */
export function bootLogPath({ securityfs, tcti }: Omit<MeasurementPaths, 'userspaceLog'>): string {
  return join(securityfs, kernelNameOf(tcti), 'binary_bios_measurements');
}

/** `tpm1` for `device:/dev/tpmrm1`. Whoever reaches a chip in another way can only mean the first one that the kernel knows. */
export function kernelNameOf(tcti = ''): string {
  const number = /^device:\/dev\/tpm(?:rm)?(\d+)$/.exec(tcti)?.[1] ?? '0';
  return `tpm${number}`;
}

class Snapshot implements LogSnapshot {
  readonly #paths: MeasurementPaths;
  readonly #imaList: LogView;
  /** Logs that are read whole, for as long as more of them is asked for. */
  readonly #whole = new Map<MeasuredLog, Promise<Buffer>>();

  constructor(paths: MeasurementPaths, imaList: LogView) {
    this.#paths = paths;
    this.#imaList = imaList;
  }

  async read(wish: LogWish): Promise<SentLogPart> {
    const { log } = wish;
    try {
      if (log === 'ima-list') return await cut(this.#imaList, wish);
      const bytes = await this.#bytes(log);
      const part = isKnown(bytes, wish) ? unchanged(wish) : await cut(viewOf(bytes), wish);
      if (part.remaining === 0) this.#whole.delete(log);
      return part;
    } catch (error) {
      this.#whole.delete(log);
      return notRead(wish, this.#paths, error);
    }
  }

  #bytes(log: 'boot-log' | 'userspace-log'): Promise<Buffer> {
    const reading =
      this.#whole.get(log) ??
      (log === 'boot-log'
        ? readTwice(bootLogPath(this.#paths), MAX_BOOT_LOG)
        : readUserspaceLog(this.#paths.userspaceLog, MAX_USERSPACE_LOG));
    this.#whole.set(log, reading);
    return reading;
  }
}

function isKnown(bytes: Uint8Array, { knownSha256 }: LogWish): boolean {
  return knownSha256.length > 0 && createHash('sha256').update(bytes).digest().equals(knownSha256);
}

function unchanged({ log, offset }: LogWish): SentLogPart {
  return { log, state: 'unchanged', offset, data: new Uint8Array(), remaining: 0, reason: '' };
}

/** What is not there is said to be so; anything else says why it could not be read. */
function notRead({ log, offset }: LogWish, paths: MeasurementPaths, error: unknown): SentLogPart {
  const empty = { log, offset, data: new Uint8Array(), remaining: 0 };
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT' || code === 'ENOTDIR')
    return { ...empty, state: 'absent', reason: absence(log, paths) };
  if (error instanceof TouchmarkError) return { ...empty, state: 'unreadable', reason: error.message };
  const denied = code === 'EACCES' || code === 'EPERM';
  const reason = denied ? `this process may not read ${pathOf(log, paths)}` : messageOf(error);
  return { ...empty, state: 'unreadable', reason };
}

function absence(log: MeasuredLog, paths: MeasurementPaths): string {
  const path = pathOf(log, paths);
  if (log === 'userspace-log') return `systemd has written no ${path}`;
  const what = log === 'boot-log' ? 'the firmware left no log, or' : 'the kernel keeps no IMA list, or';
  return `there is no ${path}: ${what} ${paths.securityfs} is not mounted`;
}

function pathOf(log: MeasuredLog, paths: MeasurementPaths): string {
  if (log === 'userspace-log') return paths.userspaceLog;
  if (log === 'boot-log') return bootLogPath(paths);
  return join(paths.securityfs, 'ima', 'binary_runtime_measurements');
}
