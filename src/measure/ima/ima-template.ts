/** Fields of template data, as the kernel calls them in a template's format. */
export type ImaField = 'd' | 'n' | 'd-ng' | 'n-ng' | 'd-ngv2' | 'sig' | 'buf' | 'd-modsig' | 'modsig';

const known: ReadonlyMap<string, readonly ImaField[]> = new Map([
  ['ima', ['d', 'n']],
  ['ima-ng', ['d-ng', 'n-ng']],
  ['ima-sig', ['d-ng', 'n-ng', 'sig']],
  ['ima-buf', ['d-ng', 'n-ng', 'buf']],
  ['ima-ngv2', ['d-ngv2', 'n-ng']],
  ['ima-sigv2', ['d-ngv2', 'n-ng', 'sig']],
  ['ima-modsig', ['d-ng', 'n-ng', 'sig', 'd-modsig', 'modsig']],
] as const);
const names: ReadonlySet<string> = new Set([
  'd',
  'n',
  'd-ng',
  'n-ng',
  'd-ngv2',
  'sig',
  'buf',
  'd-modsig',
  'modsig',
] satisfies ImaField[]);

/**
 * The fields of a template by its name, or by its format where the host chose one (`ima_template_fmt`); undefined for
 * a template that is not understood. The name stands in the list in clear and no digest covers it.
 */
export function fieldsOf(template: string): readonly ImaField[] | undefined {
  const named = known.get(template);
  if (named || !template.includes('|')) return named;
  const fields = template.split('|');
  return fields.every(isField) ? fields : undefined;
}

/** What a format has to begin with, and may go on with, as those with a name do. */
const leading = ['d|n', 'd-ng|n-ng', 'd-ngv2|n-ng'];
const further: ReadonlySet<string> = new Set(['sig', 'buf', 'd-modsig', 'modsig'] satisfies ImaField[]);

/**
 * Whether an entry of this template can be judged: digest and name come first and only there, and each field once. Whoever
 * writes the list chooses the template, and with other formats the part of an entry that would be its name.
 */
export function isJudgeable(template: string): boolean {
  if (known.has(template)) return true;
  const [digest, name, ...others] = template.split('|');
  if (!leading.includes(`${digest}|${name}`) || new Set(others).size < others.length) return false;
  return others.every((field) => further.has(field));
}

function isField(name: string): name is ImaField {
  return names.has(name);
}

/** Digest sizes by the kernel's names of hash algorithms. */
const sizes: ReadonlyMap<string, number> = new Map([
  ['md5', 16],
  ['sha1', 20],
  ['rmd160', 20],
  ['sha224', 28],
  ['sha256', 32],
  ['sm3', 32],
  ['sm3-256', 32],
  ['sha3-256', 32],
  ['streebog256', 32],
  ['sha384', 48],
  ['sha3-384', 48],
  ['sha512', 64],
  ['sha3-512', 64],
  ['streebog512', 64],
  ['wp512', 64],
]);

/** What a measured file's digest is: of its bytes, or the root of its fs-verity tree. */
export interface ImaFileDigest {
  readonly algorithm: string;
  readonly digest: Uint8Array;
  readonly of: 'file' | 'verity';
}

/** Longest that stands before a digest, and is read as that. */
export const MAX_LABEL = 40;

interface Label {
  readonly algorithm: string;
  readonly of: ImaFileDigest['of'];
  /** Bytes of the digest; undefined for an algorithm that we do not know. */
  readonly size: number | undefined;
}

/** A list has a hundred thousand entries and one or two labels. */
const labels = new Map<string, Label | undefined>();
const MAX_LABELS = 64;

/** `sha256:` or, in the second version, `ima:sha256:` or `verity:sha256:`. */
function labelOf(text: string, second: boolean): Label | undefined {
  const key = second ? `2 ${text}` : text;
  if (labels.has(key)) return labels.get(key);
  const match = (second ? /^(ima|verity):([a-z0-9-]{1,20}):$/ : /^()([a-z0-9-]{1,20}):$/).exec(text);
  const algorithm = match?.[2];
  const of = match?.[1] === 'verity' ? 'verity' : 'file';
  const label =
    algorithm === undefined ? undefined : ({ algorithm, of, size: sizes.get(algorithm) } as const);
  if (labels.size >= MAX_LABELS) labels.clear();
  labels.set(key, label);
  return label;
}

/** Reads a digest by its label; undefined if it is no such thing. */
export function readDigest(label: string, digest: Uint8Array, second: boolean): ImaFileDigest | undefined {
  const known = labelOf(label, second);
  if (known === undefined || digest.length !== (known.size ?? digest.length)) return undefined;
  if (digest.length === 0 || digest.length > 64) return undefined;
  return { algorithm: known.algorithm, digest, of: known.of };
}
