import type { EndorsementKey, PcrSelection, Quote, TpmDevice, TpmFacts } from '../../src/host/tpm.js';
import { digest, type HashName, hashByName } from '../../src/tpm/algorithms.js';
import type { ClockInfo } from '../../src/tpm/attest.js';
import { attestationKeyTemplate } from '../../src/tpm/attestation-key.js';
import { type EkTemplateName, ekTemplates } from '../../src/tpm/ek-templates.js';
import { hierarchy, nameOf, primaryQualifiedName } from '../../src/tpm/name.js';
import { PCR_COUNT, pcrDigest } from '../../src/tpm/pcr.js';
import { serialisePublic, type TpmPublic } from '../../src/tpm/public.js';
import { plainKeyOf } from '../../src/tpm/spki.js';
import type { EkAuthority, EkCertificateOptions } from './ek-authority.js';
import {
  activate,
  createEk,
  createKey,
  honestFields,
  type QuoteFields,
  type SoftwareKey,
  serialiseQuote,
  signWith,
} from './software-tpm-keys.js';

export interface SoftwareTpmOptions {
  /** Default: P-256 alone, which is quick to make. */
  templates?: readonly EkTemplateName[];
  /** Signs the EK certificates; without it the chip has none. */
  authority?: EkAuthority;
  certificate?: EkCertificateOptions;
  chain?: readonly Uint8Array[];
  banks?: readonly HashName[];
  clock?: Partial<ClockInfo>;
  firmwareVersion?: bigint;
  /** Changes the attestation key's template before the key is made: other attributes, curve, scheme. */
  akTemplate?: (template: TpmPublic) => TpmPublic;
  /** Where the attestation key is a primary. */
  akHierarchy?: number;
  /** Changes quotes before they are signed, which no honest chip does with a restricted key. */
  tamper?: (fields: QuoteFields) => QuoteFields;
}

/** A TPM in memory with real keys and real structures: an honest chip, or as hostile as its options make it. */
export interface SoftwareTpm extends TpmDevice {
  /** As quotes show it; tests move it. */
  readonly clock: ClockInfo;
  /** The endorsement key of a template, with its private half. */
  ek(template: EkTemplateName): SoftwareKey;
  ak(unique: Uint8Array): SoftwareKey;
  extend(bank: HashName, pcr: number, value: Uint8Array): void;
  /** TPM Reset: PCRs to zero, resetCount up. */
  reboot(): void;
  /** TPM2_Clear: counters and clock to zero; endorsement primaries stay. */
  clear(): void;
  /** Signs whatever is given, as a key without `restricted` would. */
  forge(unique: Uint8Array, fields: Partial<QuoteFields>): Quote;
}

/** What lies behind the interface. */
interface Chip {
  options: SoftwareTpmOptions;
  clock: ClockInfo;
  eks: ReadonlyMap<EkTemplateName, SoftwareKey>;
  certificates: ReadonlyMap<EkTemplateName, Uint8Array | undefined>;
  aks: Map<string, SoftwareKey>;
  banks: Map<HashName, Uint8Array[]>;
}

export function createSoftwareTpm(options: SoftwareTpmOptions = {}): SoftwareTpm {
  const chip = makeChip(options);
  const { clock, banks } = chip;
  return {
    clock,
    ek: (template) => ekOf(chip, template),
    ak: (unique) => akOf(chip, unique),
    extend: (bank, pcr, value) => extend(chip, bank, pcr, value),
    reboot() {
      Object.assign(clock, { resetCount: clock.resetCount + 1, restartCount: 0 });
      for (const bank of banks.keys()) banks.set(bank, zeros(bank));
    },
    clear: () => void Object.assign(clock, { clock: 0n, resetCount: 0, restartCount: 0, safe: true }),
    forge(unique, fields) {
      const key = akOf(chip, unique);
      const honest = fieldsOf(chip, key, new Uint8Array(32), { bank: 'sha256', pcrs: [0] });
      return signed(key, { ...honest, ...fields });
    },
    describe: async () => describe([...banks.keys()]),
    endorsementKeys: async () =>
      [...chip.eks].map(([name, key]) => shown(name, key, chip.certificates.get(name))),
    chainCertificates: async () => [...(options.chain ?? [])],
    attestationKey: async (unique) => serialisePublic(akOf(chip, unique).public),
    async activateCredential(template, unique, credentialBlob, encryptedSecret) {
      const akName = nameOf(akOf(chip, unique).public);
      return activate(ekOf(chip, template), akName, { credentialBlob, encryptedSecret });
    },
    async quote(unique, qualifyingData, selection) {
      clock.clock += 1n;
      const key = akOf(chip, unique);
      const fields = fieldsOf(chip, key, qualifyingData, selection);
      return signed(key, options.tamper?.(fields) ?? fields);
    },
    pcrRead: async ({ bank, pcrs }) =>
      new Map([...valuesOf(chip, bank)].filter(([index]) => pcrs.includes(index))),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

function makeChip(options: SoftwareTpmOptions): Chip {
  const templates = (options.templates ?? ['p256-l2']).map(templateByName);
  const eks = new Map(templates.map((template) => [template.name, createEk(template)]));
  const certificateOf = (key: SoftwareKey) =>
    options.authority?.issue(plainKeyOf(key.public), options.certificate);
  return {
    options,
    clock: { clock: 1000n, resetCount: 1, restartCount: 0, safe: true, ...options.clock },
    eks,
    certificates: new Map([...eks].map(([name, key]) => [name, certificateOf(key)])),
    aks: new Map(),
    banks: new Map((options.banks ?? ['sha256']).map((bank) => [bank, zeros(bank)])),
  };
}

function ekOf({ eks }: Chip, name: EkTemplateName): SoftwareKey {
  const key = eks.get(name);
  if (!key) throw new Error(`this chip has no endorsement key ${name}`);
  return key;
}

/** The same key for the same `unique`, as from a seed. */
function akOf({ aks, options }: Chip, unique: Uint8Array): SoftwareKey {
  const id = Buffer.from(unique).toString('hex');
  const template = attestationKeyTemplate(unique);
  const key = aks.get(id) ?? createKey(options.akTemplate?.(template) ?? template);
  aks.set(id, key);
  return key;
}

function extend({ banks }: Chip, bank: HashName, pcr: number, value: Uint8Array): void {
  const list = banks.get(bank);
  const old = list?.[pcr];
  if (!list || !old) throw new Error(`this chip has no PCR ${pcr} in bank ${bank}`);
  list[pcr] = digest(bank, old, value);
}

function valuesOf({ banks }: Chip, bank: HashName): Map<number, Uint8Array> {
  return new Map(banks.get(bank)?.entries());
}

/** What an honest chip writes; bits of banks that are not allocated are cleared in silence. */
function fieldsOf(chip: Chip, key: SoftwareKey, extraData: Uint8Array, wanted: PcrSelection): QuoteFields {
  const { clock, options, banks } = chip;
  const selection = { bank: wanted.bank, pcrs: banks.has(wanted.bank) ? wanted.pcrs : [] };
  const hash = key.public.scheme?.hash ?? 'sha256';
  return {
    ...honestFields,
    ...clock,
    qualifiedSigner: primaryQualifiedName(key.public, options.akHierarchy ?? hierarchy.endorsement),
    extraData,
    firmwareVersion: options.firmwareVersion ?? 0x0001_0002n,
    selections: [selection],
    pcrDigest: pcrDigest(hash, selection, valuesOf(chip, selection.bank)),
  };
}

function signed(key: SoftwareKey, fields: QuoteFields): Quote {
  const attest = serialiseQuote(fields);
  return { attest, signature: signWith(key, attest) };
}

function templateByName(name: EkTemplateName) {
  const template = ekTemplates.find((one) => one.name === name);
  if (!template) throw new Error(`there is no EK template ${name}`);
  return template;
}

function zeros(bank: HashName): Uint8Array[] {
  return Array.from({ length: PCR_COUNT }, () => new Uint8Array(hashByName(bank).size));
}

function shown(
  template: EkTemplateName,
  key: SoftwareKey,
  certificate: Uint8Array | undefined,
): EndorsementKey {
  const shownKey = { template, public: serialisePublic(key.public) };
  return certificate ? { ...shownKey, certificate } : shownKey;
}

function describe(banks: readonly HashName[]): TpmFacts {
  return {
    manufacturer: 'TEST',
    vendorString: 'soft',
    firmwareVersion: '0000000000010002',
    family: '2.0',
    revision: 159,
    banks: banks.map((bank) => ({ bank, pcrs: Array.from({ length: PCR_COUNT }, (_, at) => at) })),
    lockoutCounter: 0,
    loadedHandles: { transient: 0, loadedSessions: 0, savedSessions: 0, persistent: 0 },
    nvBufferMax: 2048,
  };
}
