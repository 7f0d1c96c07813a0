import { digest } from './algorithms.js';
import type { PlainKey } from './spki.js';
import { join, u32 } from './writer.js';

/**
 * Where a vendor publishes the certificate of a firmware TPM that holds none in NV. For an operator's tool alone: nothing is fetched
 * while a certificate is verified, and what was fetched is verified like any other.
 */
export interface VendorUrl {
  vendor: 'INTC' | 'AMD';
  url: string;
  /** Intel answers JSON with the certificate inside, AMD the certificate in DER. */
  format: 'json' | 'der';
}

/** Both places: the key does not say whose chip it is in. Intel's service knows RSA keys only. */
export function vendorUrls(key: PlainKey): VendorUrl[] {
  const amd: VendorUrl = { vendor: 'AMD', url: `https://ftpm.amd.com/pki/aia/${amdId(key)}`, format: 'der' };
  if (key.type !== 'rsa') return [amd];
  const intel = `https://ekop.intel.com/ekcertservice/${intelId(key)}`;
  return [{ vendor: 'INTC', url: intel, format: 'json' }, amd];
}

/** Base64url of SHA-256(modulus || 010001), its padding percent-encoded. */
function intelId({ modulus }: Extract<PlainKey, { type: 'rsa' }>): string {
  const hash = Buffer.from(digest('sha256', modulus, Uint8Array.of(1, 0, 1)));
  return `${hash.toString('base64url')}%3D`;
}

/** The first 16 bytes of SHA-256 over a prefix that names the algorithm and the key's numbers. */
function amdId(key: PlainKey): string {
  const numbers =
    key.type === 'rsa' ? join(u32(0x2222), u32(key.exponent), key.modulus) : join(u32(0x4444), key.x, key.y);
  return Buffer.from(digest('sha256', numbers)).subarray(0, 16).toString('hex').toUpperCase();
}
