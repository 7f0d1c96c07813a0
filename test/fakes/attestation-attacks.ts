import { randomBytes } from 'node:crypto';
import { attestationKeyUnique } from '../../src/attest/transcript.js';
import type { ErrorCode } from '../../src/errors.js';
import { attribute } from '../../src/tpm/attributes.js';
import { hierarchy } from '../../src/tpm/name.js';
import { parsePublic, serialisePublic } from '../../src/tpm/public.js';
import { domain, vendor } from './attest-world.js';
import { type ChipAgentOptions, newCsr } from './chip-agent.js';
import { genuine } from './chip-world.js';
import { createSoftwareTpm, type SoftwareTpm, type SoftwareTpmOptions } from './software-tpm.js';

const unique = attestationKeyUnique(domain, 0);

/** One thing that a hostile agent or chip does, and how it is refused. */
export interface Attack {
  readonly name: string;
  readonly code: ErrorCode;
  readonly message: RegExp;
  readonly chip?: SoftwareTpmOptions;
  /** The chip's certificates are left at home. */
  readonly noCertificate?: true;
  readonly agent?: Partial<ChipAgentOptions> | ((chip: SoftwareTpm) => Promise<Partial<ChipAgentOptions>>);
}

export const flip = (bytes: Uint8Array, at: number): Uint8Array =>
  bytes.map((byte, index) => (index === at ? byte ^ 1 : byte));

/** Every class of the verifier mistakes that are known in this field, as something to be refused. */
export const attacks: readonly Attack[] = [
  {
    name: 'the certificate of another chip',
    code: 'ek_certificate_other_key',
    message: /is not the .* endorsement key$/,
    agent: async () => {
      const [other] = await genuine().endorsementKeys();
      const certificate = other?.certificate ?? new Uint8Array();
      return {
        hello: (hello) => ({
          ...hello,
          endorsementKeys: hello.endorsementKeys.map((key) => ({ ...key, certificate })),
        }),
      };
    },
  },
  {
    name: 'a certificate of an unknown vendor',
    code: 'ek_chain_untrusted',
    message: /./,
    chip: { authority: vendor() },
  },
  { name: 'no certificate', code: 'enrolment_refused', message: /has no certificate/, noCertificate: true },
  ...(
    [
      ['an unrestricted attestation key', 'ak_unrestricted', (bits: number) => bits & ~attribute.restricted],
      ['an attestation key that may decrypt', 'ak_decrypts', (bits: number) => bits | attribute.decrypt],
      [
        'an attestation key made elsewhere',
        'ak_imported',
        (bits: number) => bits & ~attribute.sensitiveDataOrigin,
      ],
      [
        'an attestation key that may leave the chip',
        'ak_not_fixed_tpm',
        (bits: number) => bits & ~attribute.fixedTpm,
      ],
      [
        'an attestation key that may be duplicated',
        'ak_not_fixed_parent',
        (bits: number) => bits & ~attribute.fixedParent,
      ],
      ['an attestation key that does not sign', 'ak_not_signing', (bits: number) => bits & ~attribute.sign],
    ] as const
  ).map(
    ([name, code, change]): Attack => ({
      name,
      code,
      message: /./,
      chip: { akTemplate: (template) => ({ ...template, attributes: change(template.attributes) }) },
    }),
  ),
  {
    name: 'an attestation key on another curve',
    code: 'ak_curve',
    message: /./,
    chip: { akTemplate: (template) => ({ ...template, curve: 'P-384' }) as never },
  },
  {
    name: 'a quote that is not one, signed by the attestation key',
    code: 'quote_magic',
    message: /./,
    chip: { tamper: (fields) => ({ ...fields, magic: 0x12345678 }) },
  },
  {
    name: 'another structure of the TPM in the place of a quote',
    code: 'quote_type',
    message: /./,
    chip: { tamper: (fields) => ({ ...fields, type: 0x8017 }) },
  },
  {
    name: 'other PCRs than asked for',
    code: 'quote_selection',
    message: /./,
    chip: { tamper: (fields) => ({ ...fields, selections: [{ bank: 'sha256', pcrs: [16, 23] }] }) },
  },
  {
    name: 'another bank than asked for',
    code: 'quote_selection',
    message: /./,
    chip: {
      tamper: (fields) => ({ ...fields, selections: [{ bank: 'sha1', pcrs: [0, 1, 2, 3, 4, 5, 6, 7] }] }),
    },
  },
  {
    name: 'a chip without the bank, which quotes nothing in silence',
    code: 'quote_selection',
    message: /./,
    chip: { banks: ['sha1'] },
  },
  {
    name: 'an attestation key of the owner hierarchy',
    code: 'quote_signer',
    message: /./,
    chip: { akHierarchy: hierarchy.owner },
  },
  {
    name: 'bytes after the quote',
    code: 'tpm_structure_trailing',
    message: /./,
    chip: { tamper: (fields) => ({ ...fields, trailing: Uint8Array.of(0) }) },
  },
  {
    name: 'a nonce of an earlier challenge',
    code: 'quote_nonce',
    message: /./,
    agent: { challenge: (sent) => ({ ...sent, nonce: new Uint8Array(randomBytes(32)) }) },
  },
  {
    name: 'a quote for another certificate request',
    code: 'activation_proof',
    message: /another connection$/,
    agent: { transcript: (parts) => ({ ...parts, csr: newCsr() }) },
  },
  {
    name: 'a conversation that was led with another server',
    code: 'activation_proof',
    message: /another connection$/,
    agent: { serverLeaf: Buffer.from('leaf of the server in the middle') },
  },
  {
    name: 'a conversation of another trust domain',
    code: 'activation_proof',
    message: /./,
    agent: { transcript: (parts) => ({ ...parts, trustDomain: 'other.example' }) },
  },
  {
    name: 'a quote that was bound to another transcript than the proof',
    code: 'quote_nonce',
    message: /./,
    agent: async (chip) => ({
      evidence: async (good, challenge) => {
        const { pcrBank: bank, pcrs } = challenge;
        return { ...good, ...(await chip.quote(unique, randomBytes(32), { bank, pcrs } as never)) };
      },
    }),
  },
  {
    name: 'an activation for an attestation key that is not in the chip',
    code: 'activation_proof',
    message: /./,
    agent: async () => ({ hello: await otherAk() }),
  },
  {
    name: 'a signature of another key',
    code: 'quote_signature',
    message: /./,
    agent: async (chip) => ({
      evidence: async (good, { pcrBank: bank, pcrs }) => ({
        ...good,
        signature: (await chip.quote(randomBytes(32), randomBytes(32), { bank, pcrs } as never)).signature,
      }),
    }),
  },
  {
    name: 'a proof that was changed',
    code: 'activation_proof',
    message: /./,
    agent: { evidence: (good) => ({ ...good, activationProof: flip(good.activationProof, 31) }) },
  },
  {
    name: 'a Hello that ends early',
    code: 'tpm_hello_invalid',
    message: /^the Hello cannot be decoded/,
    agent: { payload: (bytes) => bytes.subarray(0, bytes.length - 3) },
  },
  {
    name: 'an Evidence that ends early',
    code: 'tpm_hello_invalid',
    message: /^the Evidence cannot be decoded/,
    agent: { answerBytes: (bytes) => bytes.subarray(0, bytes.length - 3) },
  },
  {
    name: 'a payload beyond all measure',
    code: 'attestation_too_large',
    message: /^the attestation payload has \d+ bytes; at most 262144 are read$/,
    agent: { payload: (bytes) => Buffer.concat([bytes, Buffer.alloc(262_144)]) },
  },
  {
    name: 'an answer beyond all measure',
    code: 'attestation_too_large',
    message: /^the answer to the challenge has 1024001 bytes/,
    agent: { answerBytes: () => new Uint8Array(1_024_001) },
  },
  {
    name: 'more endorsement keys than any chip has',
    code: 'attest_message_too_large',
    message: /./,
    agent: {
      hello: (hello) => ({
        ...hello,
        endorsementKeys: Array.from({ length: 9 }, () => hello.endorsementKeys[0]) as never,
      }),
    },
  },
  {
    name: 'one endorsement key twice',
    code: 'attest_message_invalid',
    message: /is shown twice$/,
    agent: {
      hello: (hello) => ({ ...hello, endorsementKeys: [...hello.endorsementKeys, ...hello.endorsementKeys] }),
    },
  },
  {
    name: 'one endorsement key twice, its exponent written in both ways',
    code: 'tpm_hello_invalid',
    message: /^the endorsement key [0-9a-f]{64} is shown twice$/,
    chip: { templates: ['rsa2048-l1'] },
    agent: {
      hello: (hello) => ({
        ...hello,
        endorsementKeys: hello.endorsementKeys.flatMap((shown) => {
          const key = parsePublic(shown.public);
          if (key.type !== 'rsa') return [shown];
          const other = serialisePublic({ ...key, exponent: key.exponent === 0 ? 65537 : 0 });
          return [shown, { ...shown, public: other }];
        }),
      }),
    },
  },
  {
    name: 'a chip that says it lacks the bank',
    code: 'tpm_hello_invalid',
    message: /^the chip has no PCR bank sha256, only sha1$/,
    agent: { hello: (hello) => ({ ...hello, banks: ['sha1'] }) },
  },
];

/** A Hello with the attestation key of a second chip: the credentials are then for a key that this chip does not hold. */
async function otherAk(): Promise<NonNullable<ChipAgentOptions['hello']>> {
  const akPublic = await genuine().attestationKey(unique);
  return (hello) => ({ ...hello, akPublic });
}

/** The chip and the agent of an attack. */
export async function prepare(
  attack: Attack,
): Promise<{ chip: SoftwareTpm; options: Partial<ChipAgentOptions> }> {
  const chip = attack.noCertificate ? createSoftwareTpm(attack.chip) : genuine(attack.chip);
  const options = typeof attack.agent === 'function' ? await attack.agent(chip) : (attack.agent ?? {});
  return { chip, options };
}
