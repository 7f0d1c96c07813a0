import type { LogWish, SentLogPart } from '../../attest/logs.js';
import { MAX_CHUNK } from './contract.js';

/** One log as a snapshot sees it. */
export interface LogView {
  /** Fewer bytes than asked for only at the end. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Bytes that the log has; looks from `offset` on, where that is cheaper. */
  end(offset: number): Promise<number>;
}

export function viewOf(bytes: Uint8Array): LogView {
  return {
    read: async (offset, length) => bytes.subarray(offset, offset + length),
    end: async () => bytes.length,
  };
}

/** The piece that was asked for. */
export async function cut(view: LogView, { log, offset, maxBytes }: LogWish): Promise<SentLogPart> {
  const most = Math.min(maxBytes === 0 ? MAX_CHUNK : maxBytes, MAX_CHUNK);
  const data = await view.read(offset, most);
  const at = offset + data.length;
  if (data.length > 0) {
    const end = data.length < most ? at : await view.end(at);
    return { log, state: 'present', offset, data, remaining: Math.max(0, end - at), reason: '' };
  }
  const end = await view.end(offset);
  if (end < offset) {
    const reason = `it has ${end} bytes, less than the ${offset} that were seen before`;
    return { log, state: 'shorter', offset, data, remaining: 0, reason };
  }
  const state = offset === 0 ? 'present' : 'unchanged';
  return { log, state, offset, data, remaining: 0, reason: '' };
}
