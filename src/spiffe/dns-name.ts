import { TouchmarkError } from '../errors.js';

const LABEL = /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;
const MAX_NAME = 253;

/**
 * Checks a DNS name for a certificate: labels of letters, digits and inner hyphens, `*` alone as the first of at least two.
 * Does not establish that anybody owns it.
 * @throws TouchmarkError `dns_name_invalid`
 */
export function checkDnsName(name: string): void {
  const labels = name.split('.');
  const [first, ...rest] = labels;
  const plain = first === '*' && rest.length > 0 ? rest : labels;
  if (name.length === 0 || name.length > MAX_NAME || !plain.every((label) => LABEL.test(label))) {
    throw new TouchmarkError('dns_name_invalid', `${JSON.stringify(name.slice(0, 100))} is not a DNS name`);
  }
}

/** Checks a list: each name, none twice, and none that a wildcard of the list covers already. */
export function checkDnsNames(names: readonly string[]): void {
  const seen = new Set<string>();
  for (const name of names) {
    checkDnsName(name);
    const lower = name.toLowerCase();
    if (seen.has(lower)) throw new TouchmarkError('dns_name_invalid', `DNS name ${name} is given twice`);
    seen.add(lower);
  }
  for (const name of seen) {
    const wildcard = `*${name.slice(name.indexOf('.'))}`;
    if (name.includes('.') && wildcard !== name && seen.has(wildcard)) {
      throw new TouchmarkError('dns_name_invalid', `DNS name ${name} is covered by ${wildcard} already`);
    }
  }
}
