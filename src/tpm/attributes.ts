/** TPMA_OBJECT bits (TPM 2.0 Part 2, 8.3). */
export const attribute = {
  fixedTpm: 0x2,
  stClear: 0x4,
  fixedParent: 0x10,
  sensitiveDataOrigin: 0x20,
  userWithAuth: 0x40,
  adminWithPolicy: 0x80,
  noDa: 0x400,
  encryptedDuplication: 0x800,
  restricted: 0x10000,
  decrypt: 0x20000,
  sign: 0x40000,
  x509Sign: 0x80000,
} as const;

/** Attribute names in words, for messages and `inspect`: `fixedTpm+restricted+sign`. */
export function attributeNames(bits: number): string {
  const names = Object.entries(attribute)
    .filter(([, bit]) => (bits & bit) !== 0)
    .map(([name]) => name);
  const known = Object.values(attribute).reduce((sum, bit) => sum | bit, 0);
  const unknown = (bits & ~known) >>> 0;
  if (unknown !== 0) names.push(`0x${unknown.toString(16)}`);
  return names.length === 0 ? 'none' : names.join('+');
}
