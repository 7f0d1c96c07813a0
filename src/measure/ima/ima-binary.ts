import { TouchmarkError } from '../../errors.js';
import { ByteQueue } from './byte-queue.js';
import {
  checkedPcr,
  checkedSize,
  checkedTemplate,
  type ImaReader,
  type ImaReaderOptions,
  type ImaRecord,
  isZero,
  LEGACY_DIGEST,
  LEGACY_NAME,
  LEGACY_TEMPLATE,
  legacyData,
  listDigestSize,
  MAX_TEMPLATE_DATA,
  MAX_TEMPLATE_NAME,
} from './ima-record.js';

/**
 * The kernel's `binary_runtime_measurements`: PCR, template digest, length and name of the template, length and data;
 * integers of 32 bits, little-endian as on every machine that is supported. The legacy template has no length of data.
 */
export function imaBinaryReader(options: ImaReaderOptions = {}): ImaReader {
  const queue = new ByteQueue();
  const digestSize = listDigestSize(options);
  let event = options.before ?? 0;
  function* records(): Generator<ImaRecord> {
    for (;;) {
      const record = takeRecord(queue, digestSize, event + 1);
      if (!record) return;
      event += 1;
      yield record;
    }
  }
  return {
    push: (chunk) => {
      queue.push(chunk);
      return records();
    },
    end: () => {
      if (queue.length === 0) return;
      throw new TouchmarkError(
        'ima_list_truncated',
        `the IMA list is cut off in entry ${event + 1}: ${queue.length} bytes are not a whole entry`,
      );
    },
  };
}

/** A whole list. @throws TouchmarkError `ima_list_truncated`, `ima_list_invalid`, `ima_list_too_large` */
export function* parseImaBinary(bytes: Uint8Array, options: ImaReaderOptions = {}): Generator<ImaRecord> {
  const reader = imaBinaryReader(options);
  yield* reader.push(bytes);
  reader.end();
}

/** Nothing is taken from the queue before the record is whole; sizes are bounded as soon as they are read. */
function takeRecord(queue: ByteQueue, digestSize: number, event: number): ImaRecord | undefined {
  const nameAt = 4 + digestSize + 4;
  const head = queue.peek(nameAt);
  if (!head) return undefined;
  const where = `entry ${event}`;
  const pcr = checkedPcr(head.readUInt32LE(queue.offset), where);
  const nameSize = checkedSize(
    head.readUInt32LE(queue.offset + nameAt - 4),
    MAX_TEMPLATE_NAME,
    `the template name of ${where}`,
  );
  const named = queue.peek(nameAt + nameSize);
  if (!named) return undefined;
  const nameEnd = queue.offset + nameAt + nameSize;
  const template = checkedTemplate(named.toString('latin1', queue.offset + nameAt, nameEnd), where);
  const body = (template === LEGACY_TEMPLATE ? legacyBody : plainBody)(queue, nameAt + nameSize, where);
  if (!body) return undefined;
  // Only now, since joining pieces for the body moves the bytes.
  const templateDigest = body.buffer.subarray(queue.offset + 4, queue.offset + 4 + digestSize);
  queue.skip(body.end);
  return { event, pcr, template, templateDigest, data: body.data, violation: isZero(templateDigest) };
}

interface Body {
  readonly buffer: Buffer;
  readonly data: Uint8Array;
  /** Length of the record. */
  readonly end: number;
}

function plainBody(queue: ByteQueue, at: number, where: string): Body | undefined {
  const sized = queue.peek(at + 4);
  if (!sized) return undefined;
  const size = checkedSize(sized.readUInt32LE(queue.offset + at), MAX_TEMPLATE_DATA, `the data of ${where}`);
  const end = at + 4 + size;
  const buffer = queue.peek(end);
  return buffer && { buffer, data: buffer.subarray(queue.offset + at + 4, queue.offset + end), end };
}

/** 20 bytes of digest, then the name with its length and without padding. */
function legacyBody(queue: ByteQueue, at: number, where: string): Body | undefined {
  const sized = queue.peek(at + LEGACY_DIGEST + 4);
  if (!sized) return undefined;
  const size = checkedSize(
    sized.readUInt32LE(queue.offset + at + LEGACY_DIGEST),
    LEGACY_NAME - 1,
    `the name in ${where}`,
  );
  const end = at + LEGACY_DIGEST + 4 + size;
  const buffer = queue.peek(end);
  if (!buffer) return undefined;
  const start = queue.offset + at;
  const name = buffer.subarray(start + LEGACY_DIGEST + 4, start + LEGACY_DIGEST + 4 + size);
  return { buffer, data: legacyData(buffer.subarray(start, start + LEGACY_DIGEST), name), end };
}
