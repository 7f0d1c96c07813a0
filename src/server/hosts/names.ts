/** How operators name things: EK hashes, host names, labels. */
import { TouchmarkError } from '../../errors.js';

export type Labels = Readonly<Record<string, string>>;

const MAX_LABELS = 64;

/** @throws TouchmarkError `ek_hash_invalid` unless it is the hex of a SHA-256; colons and upper case are forgiven */
export function readEkHash(text: string): string {
  const hash = text.trim().toLowerCase().replaceAll(':', '');
  if (/^[0-9a-f]{64}$/.test(hash)) return hash;
  throw new TouchmarkError('ek_hash_invalid', `${shown(text)} is not the hash of an endorsement key`);
}

export function looksLikeEkHash(text: string): boolean {
  return /^[0-9a-f]{64}$/i.test(text.trim().replaceAll(':', ''));
}

/** The empty name is "no name". @throws TouchmarkError `host_name_invalid` */
export function checkHostName(name: string): string {
  if (name === '') return name;
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/.test(name) && !looksLikeEkHash(name)) return name;
  throw new TouchmarkError('host_name_invalid', `${shown(name)} is not a name for a host`);
}

/** @throws TouchmarkError `host_label_invalid` */
export function checkLabels(labels: Labels): Labels {
  const pairs = Object.entries(labels);
  if (pairs.length > MAX_LABELS) {
    throw new TouchmarkError(
      'host_label_invalid',
      `a host has at most ${MAX_LABELS} labels, not ${pairs.length}`,
    );
  }
  for (const [key, value] of pairs) checkLabel(key, value);
  return labels;
}

function checkLabel(key: string, value: string): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/.test(key)) {
    throw new TouchmarkError('host_label_invalid', `${shown(key)} is not the key of a label`);
  }
  // Control characters and what only looks like nothing: a label is compared and printed as it is.
  if (value !== '' && value.length <= 255 && /^[^\p{C}\p{Z}]+( [^\p{C}\p{Z}]+)*$/u.test(value)) return;
  throw new TouchmarkError(
    'host_label_invalid',
    `${shown(value)} is not a value for the label ${shown(key)}`,
  );
}

function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
