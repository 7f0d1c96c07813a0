import { TouchmarkError } from '../errors.js';
import { dottedOid } from '../x509/oid.js';
import { type CurveName, curveByName } from './algorithms.js';
import { bitsOf, contentOf, elementsInside, insideOf, type LenientElement } from './lenient-der.js';
import { modulusBits, type PlainKey } from './spki.js';

const RSA_ENCRYPTION = '1.2.840.113549.1.1.1';
/** Old Infineon certificates name the key after its use; OpenSSL does not load such a key. */
const RSAES_OAEP = '1.2.840.113549.1.1.7';
const EC_PUBLIC_KEY = '1.2.840.10045.2.1';
const namedCurves = new Map<string, CurveName>([
  ['1.2.840.10045.3.1.7', 'P-256'],
  ['1.3.132.0.34', 'P-384'],
  ['1.3.132.0.35', 'P-521'],
]);
const SEQUENCE = 0x30;

/**
 * Takes the number or point out of a SubjectPublicKeyInfo, whatever way it names its algorithm.
 * Does NOT establish that a point lies on its curve.
 */
export function readCertificateKey(spki: LenientElement | undefined, notes: Map<string, string>): PlainKey {
  const [algorithm, bits] = insideOf(spki, SEQUENCE, 'the public key');
  const [id, parameters] = insideOf(algorithm, SEQUENCE, "the public key's algorithm");
  const oid = dottedOid(contentOf(id, 0x06, "the public key's algorithm"));
  const content = bitsOf(bits, 'the public key');
  if (oid === EC_PUBLIC_KEY) return readPoint(parameters, content);
  if (oid === RSAES_OAEP)
    notes.set('spki_rsaes_oaep', 'the key is marked id-RSAES-OAEP instead of rsaEncryption');
  else if (oid !== RSA_ENCRYPTION) throw unsupported(`a key with the algorithm ${oid}`);
  return readNumbers(content, notes);
}

function readNumbers(content: Uint8Array, notes: Map<string, string>): PlainKey {
  const [n, e] = elementsInside(content, SEQUENCE, 'the RSA key');
  const written = contentOf(n, 0x02, 'the modulus');
  if ((written[0] ?? 0) >= 0x80) notes.set('modulus_negative', 'the modulus is written as a negative number');
  const start = written.findIndex((octet) => octet !== 0);
  const modulus = written.subarray(Math.max(0, start));
  const bits = modulusBits(modulus);
  if (bits < 2048 || bits > 4096) throw unsupported(`an RSA key of ${bits} bits`);
  const exponent = contentOf(e, 0x02, 'the exponent').reduce((sum, octet) => sum * 256 + octet, 0);
  if (exponent > 0xffff_ffff || exponent < 3 || exponent % 2 === 0)
    throw unsupported('an unusual RSA exponent');
  return { type: 'rsa', modulus: modulus.slice(), exponent };
}

function readPoint(parameters: LenientElement | undefined, content: Uint8Array): PlainKey {
  const curve = parameters?.tag === 0x06 ? namedCurves.get(dottedOid(parameters.content)) : undefined;
  if (!curve)
    throw unsupported('a key on another curve than P-256, P-384 and P-521, or with its own parameters');
  const { size } = curveByName(curve);
  if (content.length !== 1 + 2 * size || content[0] !== 4)
    throw unsupported(`no uncompressed point of ${curve}`);
  return { type: 'ecc', curve, x: content.slice(1, 1 + size), y: content.slice(1 + size) };
}

function unsupported(what: string): TouchmarkError {
  return new TouchmarkError('ek_certificate_key', `the certificate has ${what}`);
}
