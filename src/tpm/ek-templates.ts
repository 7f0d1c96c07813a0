import { type CurveName, curveByName, type HashName } from './algorithms.js';
import { attribute } from './attributes.js';
import { serialisePublic, type TpmPublic } from './public.js';

/** Templates of the TCG EK Credential Profile 2.5: L have fixed low-range NV indices, H high-range ones. */
export type EkTemplateName =
  | 'rsa2048-l1'
  | 'p256-l2'
  | 'rsa2048-h1'
  | 'p256-h2'
  | 'p384-h3'
  | 'p521-h4'
  | 'rsa3072-h6'
  | 'rsa4096-h7';

export interface EkTemplate {
  name: EkTemplateName;
  key: { type: 'rsa'; bits: number } | { type: 'ecc'; curve: CurveName };
  nameAlg: HashName;
  symmetricBits: 128 | 256;
  attributes: number;
  /** `a` is PolicySecret(endorsement); `b` is PolicyOR of that and PolicyAuthorizeNV, as `ekPolicies` has them. */
  policy: 'a' | 'b';
  nv: {
    certificate: number;
    /** Where present, this goes into the front of `unique`. H templates never have one. */
    nonce?: number;
    /** Where present, this TPMT_PUBLIC is used instead of the table's. */
    template: number;
  };
}

const { fixedTpm, fixedParent, sensitiveDataOrigin, userWithAuth, adminWithPolicy, restricted, decrypt } =
  attribute;
/** 0x000300b2 */
const LOW = fixedTpm | fixedParent | sensitiveDataOrigin | adminWithPolicy | restricted | decrypt;
/** 0x000300f2 */
const HIGH = LOW | userWithAuth;

const low = { nameAlg: 'sha256', symmetricBits: 128, attributes: LOW, policy: 'a' } as const;
const high256 = { nameAlg: 'sha256', symmetricBits: 128, attributes: HIGH, policy: 'b' } as const;
const high384 = { nameAlg: 'sha384', symmetricBits: 256, attributes: HIGH, policy: 'b' } as const;
const high512 = { nameAlg: 'sha512', symmetricBits: 256, attributes: HIGH, policy: 'b' } as const;
const rsa = (bits: number) => ({ type: 'rsa', bits }) as const;
const ecc = (curve: CurveName) => ({ type: 'ecc', curve }) as const;
/** An H certificate has an even index; its template is the odd neighbour above it. */
const at = (certificate: number) => ({ certificate, template: certificate + 1 });

/** In the order in which a chip is asked for its certificates. */
export const ekTemplates: readonly EkTemplate[] = [
  {
    name: 'rsa2048-l1',
    key: rsa(2048),
    ...low,
    nv: { certificate: 0x01c00002, nonce: 0x01c00003, template: 0x01c00004 },
  },
  {
    name: 'p256-l2',
    key: ecc('P-256'),
    ...low,
    nv: { certificate: 0x01c0000a, nonce: 0x01c0000b, template: 0x01c0000c },
  },
  { name: 'rsa2048-h1', key: rsa(2048), ...high256, nv: at(0x01c00012) },
  { name: 'p256-h2', key: ecc('P-256'), ...high256, nv: at(0x01c00014) },
  { name: 'p384-h3', key: ecc('P-384'), ...high384, nv: at(0x01c00016) },
  { name: 'p521-h4', key: ecc('P-521'), ...high512, nv: at(0x01c00018) },
  { name: 'rsa3072-h6', key: rsa(3072), ...high384, nv: at(0x01c0001c) },
  { name: 'rsa4096-h7', key: rsa(4096), ...high384, nv: at(0x01c0001e) },
];

/** NV indices of certificates other than those of endorsement keys. */
export const nvRanges = {
  chain: { first: 0x01c00100, last: 0x01c001ff },
  platform: { first: 0x01c08000, last: 0x01c0ffff },
} as const;

interface EkPolicies {
  /** PolicySecret(TPM_RH_ENDORSEMENT). */
  a: Uint8Array;
  /** PolicyOR(a, c): what the H templates carry. */
  b: Uint8Array;
  /** PolicyAuthorizeNV against an index of the vendor: the second branch of `b`. */
  c: Uint8Array;
}

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));

/** Policy digests of the EK Credential Profile 2.5, by nameAlg. */
export const ekPolicies: Readonly<Record<'sha256' | 'sha384' | 'sha512', EkPolicies>> = {
  sha256: {
    a: hex('837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa'),
    b: hex('ca3d0a99a2b93906f7a3342414efcfb3a385d44cd1fd459089d19b5071c0b7a0'),
    c: hex('3767e2edd43ff45a3a7e1eaefcef78643dca964632e7aad82c673a30d8633fde'),
  },
  sha384: {
    a: hex(
      '8bbf2266537c171cb56e403c4dc1d4b64f432611dc386e6f532050c3278c930e143e8bb1133824ccb431053871c6db53',
    ),
    b: hex(
      'b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c0ad9bde419cacb47ba09699646150f9fc000f3f80e12',
    ),
    c: hex(
      'd6032ce61f2fb3c240eb3cf6a33237ef2b6a16f4293c22b455e261cffd217ad5b4947c2d73e63005eed2dc2b3593d165',
    ),
  },
  sha512: {
    a: hex(
      '1e3b76502c8a1425aa0b7b3fc646a1b0fae063b03b5368f9c4cddecaff0891dd682bac1a85d4d832b781ea451915de5fc5bf0dc4a1917cd42fa041e3f998e0ee',
    ),
    b: hex(
      'b8221ca69e8550a4914de3faa6a18c072cc01208073a928d5d66d59ef79e49a429c41a6b269571d57edb25fbdb1838425608b413cd616a5f6db5b6071af99bea',
    ),
    c: hex(
      '589ee1e146544716e8deafe6db247b01b81e9f9c7dd16b814aa159138749105fba5388dd1dea702f35240c184933121e2c61b8f50d3ef91393a49a38c3f73fc8',
    ),
  },
};

/** The authPolicy that a template's keys carry. */
export function ekPolicy(template: EkTemplate): Uint8Array {
  const { nameAlg } = template;
  if (nameAlg === 'sha1') return new Uint8Array();
  return ekPolicies[nameAlg][template.policy];
}

/**
 * The public area that CreatePrimary is given so that the chip makes its endorsement key again.
 * @param nonce content of the nonce NV index, for L templates on chips that have one
 */
export function ekTemplatePublic(template: EkTemplate, nonce: Uint8Array = new Uint8Array()): TpmPublic {
  const { key, nameAlg, attributes, symmetricBits } = template;
  const symmetric = { algorithm: 'aes', bits: symmetricBits, mode: 'cfb' } as const;
  const base = { nameAlg, attributes, policy: ekPolicy(template), symmetric, scheme: null };
  const isLow = template.nv.nonce !== undefined;
  if (key.type === 'rsa') {
    return {
      ...base,
      type: 'rsa',
      bits: key.bits,
      exponent: 0,
      modulus: isLow ? filled(nonce, key.bits / 8) : empty(),
    };
  }
  const { size } = curveByName(key.curve);
  const [x, y] = isLow ? [filled(nonce, size), new Uint8Array(size)] : [empty(), empty()];
  return { ...base, type: 'ecc', curve: key.curve, x, y };
}

/** `ekTemplatePublic` as TPMT_PUBLIC bytes, without the TPM2B size. */
export function ekTemplateBytes(template: EkTemplate, nonce?: Uint8Array): Uint8Array {
  return serialisePublic(ekTemplatePublic(template, nonce));
}

function filled(nonce: Uint8Array, size: number): Uint8Array {
  const out = new Uint8Array(size);
  out.set(nonce.subarray(0, size));
  return out;
}

function empty(): Uint8Array {
  return new Uint8Array();
}
