/** What was published last, as it is remembered across restarts. */
import type { Bundle } from '../../spiffe/bundle.js';
import { verifyChain } from '../../x509/chain.js';
import { readCertificate } from '../../x509/read-certificate.js';
import type { X509Signer } from '../contract.js';
import type { Datastore } from '../datastores/contract.js';

/** A list with the authority that it is of; its key may be gone. */
export interface KeptCrl {
  readonly signer: Pick<X509Signer, 'id' | 'certificate' | 'intermediates' | 'notAfter'>;
  readonly der: Uint8Array;
}

export interface LastPublication {
  readonly sequence: number;
  readonly crls: readonly KeptCrl[];
}

const KEY = 'deny_feed';

interface Stored {
  readonly sequence: number;
  readonly crls: readonly {
    readonly id: string;
    readonly certificate: string;
    readonly intermediates: readonly string[];
    readonly notAfter: number;
    readonly der: string;
  }[];
}

export async function readLast(store: Datastore): Promise<LastPublication> {
  const record = await store.get('meta', KEY);
  if (record === undefined) return { sequence: 0, crls: [] };
  const { sequence, crls } = JSON.parse(record.value.value) as Stored;
  return {
    sequence,
    crls: crls.map(({ id, certificate, intermediates, notAfter, der }) => ({
      signer: { id, certificate: bytes(certificate), intermediates: intermediates.map(bytes), notAfter },
      der: bytes(der),
    })),
  };
}

export async function writeLast(store: Datastore, { sequence, crls }: LastPublication): Promise<void> {
  const stored: Stored = {
    sequence,
    crls: crls.map(({ signer: { id, certificate, intermediates, notAfter }, der }) => ({
      id,
      certificate: base64(certificate),
      intermediates: intermediates.map(base64),
      notAfter,
      der: base64(der),
    })),
  };
  await store.commit([{ kind: 'meta', key: KEY, value: { value: JSON.stringify(stored) } }]);
}

/** Rises with each publication, and with the clock, should what was remembered be lost or restored from a backup. */
export function keptSequence({ sequence }: LastPublication, now: number): number {
  return Math.max(sequence + 1, now);
}

/** Whether anybody who goes by the bundle would accept what this authority signed. */
export function isBelieved(
  { certificate, intermediates }: KeptCrl['signer'],
  bundle: Bundle,
  now: number,
): boolean {
  const anchors = bundle.x509Authorities.map(({ der }) => readCertificate(der));
  const own = readCertificate(certificate);
  if (own.notAfter < now) return false;
  if (anchors.some(({ der }) => Buffer.compare(der, own.der) === 0)) return true;
  try {
    verifyChain(own, intermediates.map(readCertificate), anchors, { now });
    return true;
  } catch {
    return false;
  }
}

function bytes(text: string): Buffer {
  return Buffer.from(text, 'base64');
}

function base64(data: Uint8Array): string {
  return Buffer.from(data.buffer, data.byteOffset, data.length).toString('base64');
}
