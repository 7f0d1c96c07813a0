import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import {
  bitString,
  derTrue,
  octetString,
  oid,
  sequence,
  tag,
  text,
  tlv,
  unsignedInteger,
} from '../../src/x509/der.js';
import { extension, keyUsageBit } from '../../src/x509/extensions.js';
import { encodeName } from '../../src/x509/name.js';
import { signingSchemeOf } from '../../src/x509/signature.js';
import { exportSpki, keyIdentifier, readSpki } from '../../src/x509/spki.js';
import { encodeTime } from '../../src/x509/time.js';

/** A moment at which everything that the factory makes is valid, unless asked otherwise. */
export const factoryNow = 1_790_000_000;

/** A certificate with its key, as the issuer of others. */
export interface Made {
  readonly der: Buffer;
  readonly key: KeyObject;
  readonly subjectDer: Uint8Array;
}

/** What to write; null leaves an extension out. Everything has a good default, so that a test names only what is wrong. */
export interface Recipe {
  readonly name?: string;
  readonly subjectDer?: Uint8Array;
  readonly issuerDer?: Uint8Array;
  readonly key?: KeyObject;
  readonly spki?: Uint8Array;
  readonly version?: number | null;
  readonly serial?: Uint8Array;
  readonly notBefore?: number;
  readonly notAfter?: number;
  readonly uris?: readonly string[];
  readonly dnsNames?: readonly string[];
  /** Whole GeneralName elements. */
  readonly otherNames?: readonly Uint8Array[];
  readonly altNamesCritical?: boolean;
  readonly altNames?: null;
  readonly keyUsage?: number | null;
  readonly keyUsageCritical?: boolean;
  readonly purposes?: readonly string[] | null;
  /** null: no extension; false: a leaf. */
  readonly authority?: boolean | null;
  readonly pathLength?: number;
  readonly keyIds?: boolean;
  /** Whole Extension elements, added at the end. */
  readonly more?: readonly Uint8Array[];
  /** AlgorithmIdentifier in the signed part, when it shall differ. */
  readonly innerAlgorithm?: Uint8Array;
  /** Signs with this key instead of the issuer's. */
  readonly signedBy?: KeyObject;
}

export const serverAuth = '1.3.6.1.5.5.7.3.1';
export const clientAuth = '1.3.6.1.5.5.7.3.2';

/** A new EC key, P-256 unless asked. */
export function ecKey(namedCurve: 'P-256' | 'P-384' | 'P-521' = 'P-256'): KeyObject {
  return generateKeyPairSync('ec', { namedCurve }).privateKey;
}

/** A root authority, self-signed. */
export function makeRoot(recipe: Recipe = {}): Made {
  return make({ name: 'root', ...authorityDefaults, ...recipe });
}

export function makeIntermediate(issuer: Made, recipe: Recipe = {}): Made {
  return make({ name: 'intermediate', ...authorityDefaults, ...recipe }, issuer);
}

/** A good leaf for `spiffe://example.org/web`, but for what the recipe says. */
export function makeLeaf(issuer: Made, recipe: Recipe = {}): Made {
  return make({ name: 'leaf', uris: ['spiffe://example.org/web'], ...recipe }, issuer);
}

const authorityDefaults: Recipe = {
  authority: true,
  keyUsage: keyUsageBit.keyCertSign | keyUsageBit.crlSign,
  purposes: null,
  uris: ['spiffe://example.org'],
};

function make(recipe: Recipe, issuer?: Made): Made {
  const key = recipe.key ?? ecKey();
  const subjectDer = recipe.subjectDer ?? encodeName({ commonName: recipe.name ?? 'x' });
  const signKey = recipe.signedBy ?? issuer?.key ?? key;
  const algorithm = signingSchemeOf(signKey).identifier;
  const spki = recipe.spki ?? exportSpki(key);
  const list = extensions(recipe, spki, issuer ? exportSpki(issuer.key) : spki);
  const tbs = sequence(
    ...(recipe.version === null ? [] : [version(recipe.version ?? 3)]),
    unsignedInteger(recipe.serial ?? Uint8Array.of(7, 7)),
    recipe.innerAlgorithm ?? algorithm,
    recipe.issuerDer ?? issuer?.subjectDer ?? subjectDer,
    sequence(
      encodeTime(recipe.notBefore ?? factoryNow - 3600),
      encodeTime(recipe.notAfter ?? factoryNow + 3600),
    ),
    subjectDer,
    spki,
    ...(list.length === 0 ? [] : [tlv(tag.constructed(3), sequence(...list))]),
  );
  const der = sequence(tbs, algorithm, bitString(sign(signingSchemeOf(signKey).hash, tbs, signKey)));
  return { der, key, subjectDer };
}

function version(number: number): Buffer {
  return tlv(tag.constructed(0), unsignedInteger(Uint8Array.of(number - 1)));
}

function extensions(recipe: Recipe, spki: Uint8Array, issuerSpki: Uint8Array): Uint8Array[] {
  return [
    ...keyIds(recipe, spki, issuerSpki),
    ...usage(recipe),
    ...purposes(recipe),
    ...constraints(recipe),
    ...altNames(recipe),
    ...(recipe.more ?? []),
  ];
}

function keyIds({ keyIds: wanted }: Recipe, spki: Uint8Array, issuerSpki: Uint8Array): Uint8Array[] {
  if (wanted !== true) return [];
  const own = keyIdentifier(readSpki(spki).keyBits);
  const issuers = keyIdentifier(readSpki(issuerSpki).keyBits);
  return [
    extension(oid('2.5.29.14'), false, octetString(own)),
    extension(oid('2.5.29.35'), false, sequence(tlv(tag.primitive(0), issuers))),
  ];
}

function usage({ keyUsage = keyUsageBit.digitalSignature, keyUsageCritical = true }: Recipe): Uint8Array[] {
  if (keyUsage === null) return [];
  return [extension(oid('2.5.29.15'), keyUsageCritical, tlv(tag.bitString, Uint8Array.of(0, keyUsage)))];
}

function purposes({ purposes: list = [serverAuth, clientAuth] }: Recipe): Uint8Array[] {
  return list === null ? [] : [extension(oid('2.5.29.37'), false, sequence(...list.map(oid)))];
}

function constraints({ authority = false, pathLength }: Recipe): Uint8Array[] {
  if (authority === null) return [];
  const limit = pathLength === undefined ? [] : [unsignedInteger(Uint8Array.of(pathLength))];
  const content = authority ? [derTrue, ...limit] : [];
  return [extension(oid('2.5.29.19'), true, sequence(...content))];
}

function altNames(recipe: Recipe): Uint8Array[] {
  const { uris = [], dnsNames = [], otherNames = [], altNamesCritical = false } = recipe;
  if (recipe.altNames === null || uris.length + dnsNames.length + otherNames.length === 0) return [];
  const names = [...uris.map(uriName), ...dnsNames.map(dnsName), ...otherNames];
  return [extension(oid('2.5.29.17'), altNamesCritical, sequence(...names))];
}

export function uriName(value: string): Buffer {
  return tlv(tag.primitive(6), Buffer.from(value));
}

export function dnsName(value: string): Buffer {
  return text(tag.primitive(2), value);
}

export function emailName(value: string): Buffer {
  return text(tag.primitive(1), value);
}

export function ipName(...octets: number[]): Buffer {
  return tlv(tag.primitive(7), Uint8Array.from(octets));
}

export function directoryName(name: Uint8Array): Buffer {
  return tlv(tag.constructed(4), name);
}

/** A critical nameConstraints extension over GeneralName elements. */
export function nameConstraints(limits: {
  readonly permitted?: readonly Uint8Array[];
  readonly excluded?: readonly Uint8Array[];
}): Buffer {
  const part = (number: number, names: readonly Uint8Array[] = []) =>
    names.length === 0 ? [] : [tlv(tag.constructed(number), ...names.map((name) => sequence(name)))];
  const content = sequence(...part(0, limits.permitted), ...part(1, limits.excluded));
  return extension(oid('2.5.29.30'), true, content);
}
