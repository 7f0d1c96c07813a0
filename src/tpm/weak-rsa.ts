import type { PlainKey } from './spki.js';

/**
 * Finds RSA keys of Infineon's faulty library (CVE-2017-15361, "ROCA"): their private halves can be computed from the public ones,
 * however genuine the chip and its certificate are. Such a modulus is a power of 65537 modulo every small prime; of others about one
 * in 2^28 is.
 */

const GENERATOR = 65537n;
/** Odd primes up to 167: those of which the library's keys of every size were made. */
const primes = [
  ...[3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83],
  ...[89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167],
].map(BigInt);

/** Residues that a faulty key may have, by prime; the primes for which that is every one say nothing and are left out. */
const tellingResidues: ReadonlyMap<bigint, ReadonlySet<bigint>> = new Map(
  primes
    .map((prime) => [prime, powersModulo(prime)] as const)
    .filter(([prime, powers]) => BigInt(powers.size) < prime - 1n),
);

/** Whether a key has the mark of the faulty library. False does NOT establish that a key is good. */
export function isWeakRsa(key: PlainKey): boolean {
  if (key.type !== 'rsa' || key.modulus.length === 0) return false;
  const number = BigInt(`0x${Buffer.from(key.modulus).toString('hex')}`);
  return [...tellingResidues].every(([prime, powers]) => powers.has(number % prime));
}

function powersModulo(prime: bigint): Set<bigint> {
  const powers = new Set<bigint>();
  for (let power = 1n; !powers.has(power); power = (power * GENERATOR) % prime) powers.add(power);
  return powers;
}
