import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readCsr } from '../../src/x509/csr.js';
import { bitString, derNull, oid, sequence, tag, text, tlv, unsignedInteger } from '../../src/x509/der.js';
import { keyUsage, subjectAltName } from '../../src/x509/extensions.js';
import { emptyName } from '../../src/x509/name.js';
import { signDer, signingSchemeOf } from '../../src/x509/signature.js';
import { exportSpki } from '../../src/x509/spki.js';
import { ecKey } from '../support/der-factory.js';
import { throwsCode } from '../support/rejects.js';

const key = ecKey();
const web = 'spiffe://example.org/web';
const request = (...extensions: Uint8Array[]) => attribute('1.2.840.113549.1.9.14', sequence(...extensions));
const names = subjectAltName([web], ['a.example'], false);

function attribute(type: string, ...values: Uint8Array[]): Buffer {
  return sequence(oid(type), tlv(tag.set, ...values));
}

/** A request whose attributes part is exactly these bytes, correctly signed. */
function withAttributes(...attributes: Uint8Array[]): Buffer {
  return signed(tlv(tag.constructed(0), ...attributes));
}

function signed(...afterKey: Uint8Array[]): Buffer {
  const info = sequence(unsignedInteger(Uint8Array.of(0)), emptyName, exportSpki(key), ...afterKey);
  return sequence(info, signingSchemeOf(key).identifier, bitString(signDer(info, key)));
}

const refuses = (message: RegExp, der: Uint8Array) => throwsCode('csr_invalid', message, () => readCsr(der));

test('the requested names are read among other extensions and other attributes', () => {
  const challenge = attribute('1.2.840.113549.1.9.7', text(tag.utf8String, 'secret'));
  const csr = readCsr(withAttributes(challenge, request(keyUsage(0x80), names)));
  assert.deepEqual(
    [csr.uris, csr.dnsNames, csr.keyKind, csr.keyBits],
    [[web], ['a.example'], 'ec-p256', 256],
  );
});

test('a request without attributes, or without names among them, asks for none', () => {
  for (const der of [
    signed(),
    withAttributes(),
    withAttributes(request()),
    withAttributes(request(keyUsage(0x80))),
  ]) {
    assert.deepEqual(readCsr(der).uris, []);
  }
});

test('extensions requested twice, in one or in two attributes, are refused', () => {
  refuses(/extensions are requested twice/, withAttributes(request(names), request(names)));
  refuses(/2\.5\.29\.17 comes twice/, withAttributes(request(names, names)));
  const twoValues = attribute('1.2.840.113549.1.9.14', sequence(names), sequence(names));
  refuses(/something after the end of the requested extensions/, withAttributes(twoValues));
});

test('attributes that are not well formed are refused, though the signature is good', () => {
  refuses(/where the requested extensions belongs/, withAttributes(attribute('1.2.840.113549.1.9.14')));
  refuses(/where an attribute belongs/, withAttributes(derNull));
  refuses(/after the end of an attribute/, withAttributes(sequence(oid('1.2.3'), tlv(tag.set), derNull)));
  refuses(/where the values of an attribute belongs/, withAttributes(sequence(oid('1.2.3'), derNull)));
  refuses(/after the end of the signed part/, signed(tlv(tag.constructed(0)), derNull));
  refuses(/where the attributes belongs/, signed(derNull));
});

test('names outside ASCII stay apart from those inside', () => {
  const odd = tlv(tag.primitive(6), Buffer.from('spiffe://example.org/ａ'));
  const san = sequence(oid('2.5.29.17'), tlv(tag.octetString, sequence(odd)));
  const [uri = ''] = readCsr(withAttributes(request(san))).uris;
  assert.ok(/[\u0080-\u00ff]/.test(uri), uri);
});

test('a signature under an algorithm that is not believed is refused', () => {
  const info = sequence(
    unsignedInteger(Uint8Array.of(0)),
    emptyName,
    exportSpki(key),
    tlv(tag.constructed(0)),
  );
  const sha1 = sequence(oid('1.2.840.10045.4.1'));
  refuses(
    /signature of the signing request is not good/,
    sequence(info, sha1, bitString(signDer(info, key))),
  );
});
