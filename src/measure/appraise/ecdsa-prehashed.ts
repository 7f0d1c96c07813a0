import { createECDH, type KeyObject } from 'node:crypto';
import { enterWhole, expectEnd, readUnsigned, tag } from '../../x509/der.js';

interface Curve {
  /** What OpenSSL calls it. */
  readonly openssl: string;
  readonly size: number;
  /** Field and order of the group, and the curve's b; a is -3. */
  readonly p: bigint;
  readonly n: bigint;
  readonly b: bigint;
}

const curves: Readonly<Record<string, Curve>> = {
  'P-256': {
    openssl: 'prime256v1',
    size: 32,
    p: 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn,
    n: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
    b: 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn,
  },
  'P-384': {
    openssl: 'secp384r1',
    size: 48,
    p: 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffffn,
    n: 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
    b: 0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aefn,
  },
};

/**
 * Verifies an ECDSA signature over a digest that is already computed, which node:crypto has no call for. The two
 * multiplications are OpenSSL's; its key agreement tells only the x of the second one, so both points with that x are
 * tried: the other one belongs to the negated key, whose private half only the same signer has. Public values only, so
 * nothing here has to take constant time.
 * @param signature r and s in DER
 */
export function verifyEcdsaDigest(key: KeyObject, digest: Uint8Array, signature: Uint8Array): boolean {
  const { crv = '', x = '', y = '' } = key.export({ format: 'jwk' });
  const curve = curves[crv];
  if (!curve) return false;
  const { n, size, openssl } = curve;
  const [r, s] = readSignature(signature);
  if (r <= 0n || s <= 0n || r >= n || s >= n) return false;
  const w = inverse(s, n);
  const [u1, u2] = [(leftmost(digest, size) * w) % n, (r * w) % n];
  if (u1 === 0n) return false;
  const own = createECDH(openssl);
  own.setPrivateKey(bytes(u1, size));
  const base = own.getPublicKey();
  const theirs = createECDH(openssl);
  theirs.setPrivateKey(bytes(u2, size));
  const point = Buffer.concat([Buffer.of(4), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
  const x2 = number(theirs.computeSecret(point));
  const [x1, y1] = [number(base.subarray(1, 1 + size)), number(base.subarray(1 + size))];
  return sums(curve, x1, y1, x2).some((sum) => sum % n === r);
}

/** x of (x1, y1) + (x2, y2), for both y2 that x2 can have. */
function sums({ p, b }: Curve, x1: bigint, y1: bigint, x2: bigint): bigint[] {
  if (x1 === x2) return [];
  const y2 = power((((x2 * x2 - 3n) * x2 + b) % p) + p, (p + 1n) / 4n, p);
  const denominator = inverse(mod(x2 - x1, p), p);
  return [y2, p - y2].map((y) => {
    const slope = (mod(y - y1, p) * denominator) % p;
    return mod(slope * slope - x1 - x2, p);
  });
}

function readSignature(der: Uint8Array): [bigint, bigint] {
  const from = enterWhole(der, tag.sequence, 'the signature');
  const [r, s] = [readUnsigned(from, 'r'), readUnsigned(from, 's')];
  expectEnd(from, 'the signature');
  return [number(r), number(s)];
}

function leftmost(digest: Uint8Array, size: number): bigint {
  return number(digest.subarray(0, size));
}

function number(from: Uint8Array): bigint {
  return from.length === 0 ? 0n : BigInt(`0x${Buffer.from(from).toString('hex')}`);
}

function bytes(value: bigint, size: number): Buffer {
  return Buffer.from(value.toString(16).padStart(2 * size, '0'), 'hex');
}

function mod(value: bigint, by: bigint): bigint {
  const rest = value % by;
  return rest < 0n ? rest + by : rest;
}

/** By Fermat: both moduli are prime. */
function inverse(value: bigint, prime: bigint): bigint {
  return power(value, prime - 2n, prime);
}

function power(base: bigint, exponent: bigint, by: bigint): bigint {
  let result = 1n;
  let square = base % by;
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * square) % by;
    square = (square * square) % by;
  }
  return result;
}
