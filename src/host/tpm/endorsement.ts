import { hasCode, messageOf, TouchmarkError } from '../../errors.js';
import type { Logger } from '../../log.js';
import { type EkTemplate, ekTemplateBytes, ekTemplates, nvRanges } from '../../tpm/ek-templates.js';
import { parsePublic } from '../../tpm/public.js';
import { plainKeyOf, spkiOf } from '../../tpm/spki.js';
import type { EndorsementKey } from '../tpm.js';
import { handlesFrom, nvBufferMax } from './capability.js';
import { certificatesIn, isAbout } from './certificates.js';
import type { TpmConnection } from './connection.js';
import { readNvIndex } from './nv.js';
import { loadPrimary, type PrimaryMaker } from './primary.js';
import { isRefusal } from './response-code.js';

/** An endorsement key and the template that makes it again. */
export interface FoundKey {
  key: EndorsementKey;
  template: EkTemplate;
  templateBytes: Uint8Array;
}

/** What NV holds for a template. */
interface Stored {
  template: EkTemplate;
  certificate: Uint8Array;
  templateBytes: Uint8Array;
}

/** Where chips keep certificates that a manufacturer wrote. */
const MANUFACTURER_NV = { first: 0x01c00000, last: 0x01c07fff } as const;
/** For a chip without any certificate: what it most likely can make, best known first. */
const fallbackNames = ['rsa2048-l1', 'p256-l2'];

/** Finds the chip's endorsement keys; what does not fit together is logged and left out. */
export async function findEndorsementKeys(
  connection: TpmConnection,
  maker: PrimaryMaker,
  log: Logger,
): Promise<FoundKey[]> {
  const stored = await readStored(connection, log);
  const found: FoundKey[] = [];
  for (const { template, certificate, templateBytes } of stored) {
    const made = await makeStored(connection, maker, templateBytes, (error) =>
      log.warn('the TPM does not make the key of an endorsement certificate', {
        template: template.name,
        error,
      }),
    );
    if (made === undefined) continue;
    if (isAbout(certificate, spkiOf(plainKeyOf(parsePublic(made))))) {
      found.push({ key: { template: template.name, public: made, certificate }, template, templateBytes });
    } else {
      log.warn('an endorsement certificate is about another key than its template makes', {
        template: template.name,
      });
    }
  }
  return found.length > 0 ? found : withoutCertificate(connection, maker);
}

/**
 * Single certificates of the chain range, in the order of their indices: parts of one certificate may span indices. An index that
 * cannot be read, since nothing was ever written into it for example, is left out: the chain may do without it.
 */
export function readChain(connection: TpmConnection, log: Logger): Promise<Uint8Array[]> {
  return connection.operate(async (scope) => {
    const { first, last } = nvRanges.chain;
    const indices = await handlesFrom(scope, first, last);
    const chunk = await nvBufferMax(scope);
    const parts: Uint8Array[] = [];
    for (const index of indices) {
      try {
        parts.push(await readNvIndex(scope, index, chunk));
      } catch (error) {
        if (!isRefusal(error)) throw error;
        log.warn("an index of the chip's certificate chain cannot be read", { index, error });
      }
    }
    const one = parts.flatMap(certificatesIn);
    return one.length > 0 ? one : certificatesIn(Buffer.concat(parts));
  });
}

function readStored(connection: TpmConnection, log: Logger): Promise<Stored[]> {
  return connection.operate(async (scope) => {
    const present = new Set(await handlesFrom(scope, MANUFACTURER_NV.first, MANUFACTURER_NV.last));
    const chunk = await nvBufferMax(scope);
    const read = async (index: number | undefined) =>
      index !== undefined && present.has(index) ? readNvIndex(scope, index, chunk) : undefined;
    const stored: Stored[] = [];
    for (const template of ekTemplates) {
      try {
        const [certificate] = certificatesIn((await read(template.nv.certificate)) ?? new Uint8Array());
        if (certificate === undefined) continue;
        const nonce = await read(template.nv.nonce);
        const own = await read(template.nv.template);
        stored.push({ template, certificate, templateBytes: own ?? ekTemplateBytes(template, nonce) });
      } catch (error) {
        if (!isRefusal(error)) throw error;
        log.warn('an endorsement certificate cannot be read', { template: template.name, error });
      }
    }
    return stored;
  });
}

async function withoutCertificate(connection: TpmConnection, maker: PrimaryMaker): Promise<FoundKey[]> {
  const reasons: string[] = [];
  for (const template of ekTemplates.filter(({ name }) => fallbackNames.includes(name))) {
    const templateBytes = ekTemplateBytes(template);
    try {
      const made = await make(connection, maker, templateBytes);
      return [{ key: { template: template.name, public: made }, template, templateBytes }];
    } catch (error) {
      if (!isRefusal(error)) throw error;
      reasons.push(messageOf(error));
    }
  }
  const message = 'the TPM makes neither an RSA-2048 nor a P-256 endorsement key';
  throw new TouchmarkError('tpm_key_unavailable', message, { detail: { reasons } });
}

/** One key that the chip refuses, or whose template in NV is none, must not keep the others from being shown. */
async function makeStored(
  connection: TpmConnection,
  maker: PrimaryMaker,
  template: Uint8Array,
  onRefusal: (error: unknown) => void,
): Promise<Uint8Array | undefined> {
  try {
    parsePublic(template);
    return await make(connection, maker, template);
  } catch (error) {
    if (!isRefusal(error) && !isUnreadable(error)) throw error;
    onRefusal(error);
    return undefined;
  }
}

function isUnreadable(error: unknown): boolean {
  return hasCode(
    error,
    'tpm_algorithm_unsupported',
    'tpm_structure_truncated',
    'tpm_structure_trailing',
    'tpm_structure_too_large',
  );
}

function make(connection: TpmConnection, maker: PrimaryMaker, template: Uint8Array): Promise<Uint8Array> {
  return connection.operate(async (scope) => (await loadPrimary(scope, maker, template)).public);
}
