import { createReadStream } from 'node:fs';
import { messageOf, TouchmarkError } from '../../errors.js';
import { pcrsAsJson } from '../../measure/banks.js';
import type { Finding } from '../../measure/finding.js';
import { imaAsciiReader } from '../../measure/ima/ima-ascii.js';
import { imaBinaryReader } from '../../measure/ima/ima-binary.js';
import { contradictions, findingsOf } from '../../measure/ima/ima-findings.js';
import type { ImaReader, ImaReaderOptions } from '../../measure/ima/ima-record.js';
import { type ImaReplay, imaReplay } from '../../measure/ima/ima-replay.js';
import { type HashName, isHashName } from '../../tpm/algorithms.js';
import type { Verb } from '../verb.js';
import { MAX_FINDINGS, showLog } from './log-text.js';

const MAX_FILE = 64 * 1024 * 1024;
const banks = ['sha256', 'sha1', 'sha384', 'sha512'] as const;

interface Report {
  format: 'ima-ascii' | 'ima-binary';
  events: number;
  replays: readonly (readonly [HashName, ImaReplay])[];
  findings: Finding[];
  /** Findings beyond those that are kept. */
  omitted: number;
  contradicted: boolean;
}

export const inspectImaLog: Verb = {
  name: 'inspect ima-log',
  summary: 'Replay a list of IMA measurements, and say what is remarkable in it.',
  example: 'touchmark inspect ima-log /sys/kernel/security/ima/binary_runtime_measurements',
  args: [{ name: 'FILE', doc: 'Binary or text list of the kernel, up to 64 MiB.' }],
  flags: [
    {
      name: 'listDigest',
      type: 'string',
      doc: 'Hash of the template digests in the list: that of the name of the file, for lists of one bank.',
      default: 'sha1',
      choices: ['sha1', 'sha256', 'sha384', 'sha512'],
    },
  ],
  run: async ({ args, flags, out }) => {
    const listDigest = flags.string('listDigest');
    const report = await read(args[0] ?? '', isHashName(listDigest) ? { listDigest } : {});
    const pcrs = pcrsAsJson(new Map(report.replays.map(([bank, replay]) => [bank, replay.values()])));
    const { format, events, findings } = report;
    showLog(out, { format, events, pcrs, findings }, report.omitted);
    return report.contradicted ? 1 : 0;
  },
};

/** Chunk by chunk, so that other work goes on in between. */
async function read(path: string, options: ImaReaderOptions): Promise<Report> {
  let report: Report | undefined;
  let reader: ImaReader | undefined;
  let size = 0;
  for await (const chunk of chunks(path)) {
    size += chunk.length;
    if (size > MAX_FILE)
      throw new TouchmarkError('file_unreadable', `${path} is larger than ${MAX_FILE} bytes`);
    report ??= emptyReport(chunk);
    reader ??= (report.format === 'ima-ascii' ? imaAsciiReader : imaBinaryReader)(options);
    take(report, reader, chunk, options);
  }
  if (!report || !reader) throw new TouchmarkError('ima_list_truncated', `${path} is empty`);
  reader.end();
  return report;
}

async function* chunks(path: string): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 256 * 1024 })) yield chunk as Buffer;
  } catch (cause) {
    throw new TouchmarkError('file_unreadable', `cannot read ${path}: ${messageOf(cause)}`, { cause });
  }
}

/** A text list begins with a PCR in digits, a binary one with a PCR below 24 in 32 bits. */
function emptyReport(chunk: Buffer): Report {
  const format = /^ ?\d/.test(chunk.toString('latin1', 0, 2)) ? 'ima-ascii' : 'ima-binary';
  const replays = banks.map((bank) => [bank, imaReplay(bank)] as const);
  return { format, events: 0, replays, findings: [], omitted: 0, contradicted: false };
}

function take(report: Report, reader: ImaReader, chunk: Buffer, options: ImaReaderOptions): void {
  for (const record of reader.push(chunk)) {
    report.events += 1;
    for (const [, replay] of report.replays) replay.extend(record);
    for (const finding of findingsOf(record, options.listDigest)) {
      if (contradictions.has(finding.code)) report.contradicted = true;
      if (report.findings.length < MAX_FINDINGS) report.findings.push(finding);
      else report.omitted += 1;
    }
  }
}
