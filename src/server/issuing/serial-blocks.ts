/**
 * Serial numbers as a keyed function of (node, authority, counter): whoever has the key can name every serial number that a
 * node may have been given out of a block of counters, without a record of each; nobody else can tell them from random ones.
 */
import { createCipheriv, createHmac, hkdfSync, type KeyObject } from 'node:crypto';
import { parseSpiffeId, type SpiffeId } from '../../spiffe/id.js';
import type { Records, Write } from '../datastores/contract.js';
import type { KeyManager } from '../key-managers/contract.js';

/** Counters that were set aside for one node, for what one authority signs; durable before the first is used. */
export interface SerialBlock {
  readonly node: SpiffeId;
  /** `AuthorityRecord.id` of the X.509 authority. */
  readonly authority: string;
  readonly first: number;
  readonly count: number;
  /** Unix milliseconds: nothing that was given out of it, or while it was the newest, lasts longer. */
  readonly until: number;
  /** Unix milliseconds at which what came out of it was withdrawn; 0: it was not. */
  readonly withdrawn: number;
}

export const SERIAL_BYTES = 16;
const KEY_NAME = 'serials';
const LABEL = 'touchmark-serial-v1';

/**
 * The secret of this server, out of a key that the key manager keeps beside those of the authorities.
 * @returns `fresh`: the key was made now, and what was set aside under another one means nothing
 */
export async function serialSecret(keys: KeyManager): Promise<{ secret: Uint8Array; fresh: boolean }> {
  const kept = await keys.get(KEY_NAME);
  const key = kept ?? (await keys.generate(KEY_NAME, 'ec-p256'));
  return { secret: secretOf(key), fresh: kept === undefined };
}

/** The key signs nothing, so that its scalar may serve as input of a derivation. */
function secretOf(key: KeyObject): Uint8Array {
  const { d = '' } = key.export({ format: 'jwk' });
  return new Uint8Array(hkdfSync('sha256', Buffer.from(d, 'base64url'), '', LABEL, 32));
}

/**
 * The serial numbers of a block, one after the other, 16 bytes each: a cipher under a key of the block's own over its counters,
 * in one call for all of them. The first two bits are 01: always positive, never zero, 32 hex digits in every notation.
 */
export function deriveSerials(secret: Uint8Array, block: SerialBlock, count = block.count): Buffer {
  const { node, authority, first } = block;
  const key = createHmac('sha256', secret).update([LABEL, node, authority, first].join('\0')).digest();
  const counters = Buffer.alloc(count * SERIAL_BYTES);
  for (let i = 0; i < count; i += 1) counters.writeUInt32BE(i, i * SERIAL_BYTES + SERIAL_BYTES - 4);
  const serials = createCipheriv('aes-256-ecb', key, null).setAutoPadding(false).update(counters);
  for (let at = 0; at < serials.length; at += SERIAL_BYTES) {
    serials[at] = ((serials[at] ?? 0) & 0x3f) | 0x40;
  }
  return serials;
}

/** The same as certificates and tokens show them: hex. */
export function serialTexts(secret: Uint8Array, block: SerialBlock): string[] {
  return deriveSerials(secret, block).toString('hex').match(/.{32}/g) ?? [];
}

export function blockKey({ node, first }: SerialBlock): string {
  return `${node}#${first.toString(16).padStart(12, '0')}`;
}

export function putBlock(block: SerialBlock): Write {
  const { first, count, until, authority, withdrawn } = block;
  return { kind: 'serial_block', key: blockKey(block), value: { first, count, until, authority, withdrawn } };
}

export function dropBlock(block: SerialBlock): Write {
  return { kind: 'serial_block', key: blockKey(block), deleted: true };
}

export function blockOf(key: string, value: Records['serial_block']): SerialBlock {
  return { node: parseSpiffeId(key.slice(0, key.lastIndexOf('#'))), ...value };
}
