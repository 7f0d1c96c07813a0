import { createConnection, type Socket } from 'node:net';
import { TouchmarkError } from '../../errors.js';
import { type HashName, hashByName } from '../../tpm/algorithms.js';

const SESSIONS = 0x8002;
const PCR_EXTEND = 0x182;
const PASSWORD = 0x40000009;
const ANSWER_MS = 10_000;
/** A response to TPM2_PCR_Extend has 19 bytes. */
const MOST_BYTES = 4096;

/**
 * TPM2_PCR_Extend, raw, on a connection of its own: what firmware and kernel do, and what the agent has no code for. Whoever else
 * talks to the same software TPM gets his turn between two commands.
 * @param tcti `swtpm:path=…` or `swtpm:host=…,port=…`
 * @throws TouchmarkError `swtpm_failed`
 */
export async function extendPcr(
  tcti: string,
  pcr: number,
  digests: ReadonlyMap<HashName, Uint8Array>,
): Promise<void> {
  const response = await transmit(tcti, command(pcr, digests));
  const code = response.readUInt32BE(6);
  if (code !== 0) throw failed(`TPM2_PCR_Extend of PCR ${pcr} gave the response code 0x${code.toString(16)}`);
}

function command(pcr: number, digests: ReadonlyMap<HashName, Uint8Array>): Buffer {
  const values = [...digests].flatMap(([bank, value]) => [u16(hashByName(bank).id), value]);
  // TPMS_AUTH_COMMAND: session, nonce, attributes, password.
  const authorisation = Buffer.concat([u32(PASSWORD), u16(0), Buffer.of(0), u16(0)]);
  const body = Buffer.concat([
    ...[u32(PCR_EXTEND), u32(pcr), u32(authorisation.length), authorisation],
    ...[u32(digests.size), ...values],
  ]);
  return Buffer.concat([u16(SESSIONS), u32(body.length + 6), body]);
}

async function transmit(tcti: string, request: Buffer): Promise<Buffer> {
  const socket = open(tcti);
  socket.setTimeout(ANSWER_MS, () => socket.destroy(failed(`no answer within ${ANSWER_MS} ms`)));
  try {
    socket.write(request);
    let received = Buffer.alloc(0);
    for await (const chunk of socket) {
      received = Buffer.concat([received, chunk as Buffer]);
      const whole = received.length >= 10 ? received.readUInt32BE(2) : MOST_BYTES;
      if (received.length >= whole) return received;
    }
    throw failed('it ended the connection in the middle of a response');
  } catch (cause) {
    if (cause instanceof TouchmarkError) throw cause;
    throw failed(cause instanceof Error ? cause.message : String(cause), cause);
  } finally {
    socket.destroy();
  }
}

function open(tcti: string): Socket {
  const path = /^swtpm:(?:.*,)?path=([^,]+)/.exec(tcti)?.[1];
  if (path !== undefined) return createConnection(path);
  const host = /[:,]host=([^,]+)/.exec(tcti)?.[1] ?? 'localhost';
  const port = /^swtpm:(?:.*,)?port=(\d+)/.exec(tcti)?.[1];
  if (port !== undefined) return createConnection(Number(port), host);
  throw failed(`${JSON.stringify(tcti)} is no socket of a software TPM`);
}

function failed(what: string, cause?: unknown): TouchmarkError {
  return new TouchmarkError('swtpm_failed', `extending a PCR of the software TPM failed: ${what}`, { cause });
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
