import { dottedOid } from '../x509/oid.js';
import type { Deviation, TpmCertificate } from './certificate.js';
import { extensionOid } from './certificate-extensions.js';
import { contentOf, elementsInside, elementsOf, insideOf } from './lenient-der.js';

/** What an EK certificate says about its chip (TCG EK Credential Profile 3.2.9). Vouched for by the issuer, not by the chip. */
export interface ChipIdentity {
  /** `IFX`, `NTC`, `STM` ...; `id:00001014` where the four bytes are no text; `unknown` where nothing is said. */
  manufacturer: string;
  model: string;
  /** Eight hex digits, upper case, as after `id:`. */
  version: string;
}

const MANUFACTURER = '2.23.133.2.1';
const MODEL = '2.23.133.2.2';
const VERSION = '2.23.133.2.3';
const SEQUENCE = 0x30;
const SET = 0x31;

/** Issuers of certificates without a subject alternative name, by a word in the issuer's name. */
const issuerWords: readonly (readonly [word: string, manufacturer: string])[] = [
  ['Infineon', 'IFX'],
  ['Nuvoton', 'NTC'],
  ['STMicroelectronics', 'STM'],
  ['STM TPM', 'STM'],
  ['Intel', 'INTC'],
  ['AMD', 'AMD'],
  ['Advanced Micro Devices', 'AMD'],
  ['Microsoft', 'MSFT'],
  ['NSING', 'NSG'],
  ['Nationz', 'NTZ'],
];

/** Manufacturer, model and version out of the subject alternative name, else the subject, else the issuer. */
export function readChipIdentity(certificate: TpmCertificate, deviations: Deviation[]): ChipIdentity {
  const extension = certificate.extensions.get(extensionOid.subjectAltName);
  const directory = extension && directoryName(extension.value);
  if (!directory) {
    deviations.push({
      code: 'san_missing',
      message: 'there is no subject alternative name that describes the TPM',
    });
  } else if (!extension?.critical && isEmptyName(certificate.subject)) {
    const message = 'the subject is empty, but the subject alternative name is not critical';
    deviations.push({ code: 'san_not_critical', message });
  }
  const found = attributesOf(directory ?? certificate.subject, deviations);
  return {
    manufacturer: manufacturerOf(found.get(MANUFACTURER), certificate.issuer, deviations),
    model: found.get(MODEL) ?? '',
    version: (found.get(VERSION) ?? '').replace(/^id:/i, '').toUpperCase(),
  };
}

/** The name inside directoryName [4]. */
function directoryName(value: Uint8Array): Uint8Array | undefined {
  const general = elementsInside(value, SEQUENCE, 'the subject alternative name');
  const directory = general.find(({ tag }) => tag === 0xa4);
  return directory && elementsOf(directory.content)[0]?.raw;
}

/** Every attribute of a Name by its object identifier, whether each stands alone or several share a relative name (Nuvoton). */
function attributesOf(name: Uint8Array, deviations: Deviation[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const relative of elementsInside(name, SEQUENCE, 'a name')) {
    const attributes = insideOf(relative, SET, 'a relative name');
    if (attributes.length > 1 && !deviations.some(({ code }) => code === 'rdn_multi_valued')) {
      deviations.push({
        code: 'rdn_multi_valued',
        message: 'several attributes of the TPM share one relative name',
      });
    }
    for (const attribute of attributes) {
      const [id, value] = insideOf(attribute, SEQUENCE, 'an attribute');
      found.set(dottedOid(contentOf(id, 0x06, 'an attribute')), printable(value?.content));
    }
  }
  return found;
}

function manufacturerOf(written: string | undefined, issuer: Uint8Array, deviations: Deviation[]): string {
  const match = /^id:([0-9a-f]{8})$/i.exec(written ?? '');
  if (match?.[1]) {
    const text = Buffer.from(match[1], 'hex').toString('latin1').replace(/\0+$/, '').trimEnd();
    return /^[\x21-\x7e]+$/.test(text) ? text : `id:${match[1].toUpperCase()}`;
  }
  if (written !== undefined) {
    deviations.push({
      code: 'manufacturer_form',
      message: `the manufacturer is written as ${JSON.stringify(written)}`,
    });
  }
  const name = Buffer.from(issuer).toString('latin1');
  const vendor = issuerWords.find(([word]) => name.includes(word))?.[1] ?? 'unknown';
  deviations.push({
    code: 'manufacturer_from_issuer',
    message: `the manufacturer ${vendor} is taken from the issuer`,
  });
  return vendor;
}

function isEmptyName(name: Uint8Array): boolean {
  return elementsInside(name, SEQUENCE, 'the subject').length === 0;
}

/** Texts go into selectors and onto terminals. */
function printable(content: Uint8Array | undefined): string {
  const text = Buffer.from(content ?? []).toString('latin1');
  return text
    .slice(0, 64)
    .replace(/[^\x20-\x7e]/g, '?')
    .trim();
}
