import assert from 'node:assert/strict';
import { test } from 'node:test';
import { enterWhole, sequence, tag } from '../../src/x509/der.js';
import {
  authorityKeyId,
  basicConstraints,
  keyUsage,
  keyUsageBit,
  serverAndClientAuth,
  subjectAltName,
  subjectKeyId,
} from '../../src/x509/extensions.js';
import { describeName, emptyName, encodeName } from '../../src/x509/name.js';
import { oidHex } from '../../src/x509/oid.js';
import {
  type Extension,
  readAltNames,
  readAuthorityKeyId,
  readBasicConstraints,
  readExtendedKeyUsage,
  readExtensions,
  readKeyUsage,
  readSubjectKeyId,
} from '../../src/x509/read-extensions.js';
import { throwsCode } from '../support/rejects.js';

function read(id: string, ...list: Uint8Array[]): Extension {
  const found = readExtensions(enterWhole(sequence(...list), tag.sequence, 'the list')).get(id);
  assert.ok(found);
  return found;
}

test('key usage is critical and written with the right number of unused bits', () => {
  for (const [bits, hex] of [
    [keyUsageBit.digitalSignature, '03020780'],
    [keyUsageBit.keyCertSign | keyUsageBit.crlSign, '03020106'],
    [0xa8, '030203a8'],
  ] as const) {
    const { critical, value } = read(oidHex.keyUsage, keyUsage(bits));
    assert.equal(critical, true);
    assert.equal(Buffer.from(value).toString('hex'), hex);
    assert.equal(readKeyUsage(value), bits);
  }
});

test('basic constraints are critical, and empty for a leaf', () => {
  const leaf = read(oidHex.basicConstraints, basicConstraints(false));
  assert.deepEqual([leaf.critical, Buffer.from(leaf.value).toString('hex')], [true, '3000']);
  assert.deepEqual(readBasicConstraints(leaf.value), { authority: false, pathLength: undefined });
  for (const pathLength of [undefined, 0, 3]) {
    const { value } = read(oidHex.basicConstraints, basicConstraints(true, pathLength));
    assert.deepEqual(readBasicConstraints(value), { authority: true, pathLength });
  }
});

test('names, identifiers and purposes are read back', () => {
  const names = read(oidHex.subjectAltName, subjectAltName(['spiffe://a/b', 'x:y'], ['c.d'], true));
  assert.equal(names.critical, true);
  assert.deepEqual(readAltNames(names.value), {
    uris: ['spiffe://a/b', 'x:y'],
    dnsNames: ['c.d'],
    otherKinds: [],
  });
  const id = Uint8Array.from({ length: 20 }, (_, n) => n);
  assert.deepEqual([...readSubjectKeyId(read(oidHex.subjectKeyId, subjectKeyId(id)).value)], [...id]);
  const issuer = readAuthorityKeyId(read(oidHex.authorityKeyId, authorityKeyId(id)).value);
  assert.deepEqual([...(issuer ?? [])], [...id]);
  const purposes = readExtendedKeyUsage(read(oidHex.extendedKeyUsage, serverAndClientAuth).value);
  assert.deepEqual(purposes, [oidHex.serverAuth, oidHex.clientAuth]);
});

test('an authority key identifier may have other forms beside or instead of the key', () => {
  const withIssuer = Buffer.from('3009a100820101800102', 'hex').subarray(0, 7);
  throwsCode('der_invalid', /longer than what is left/, () => readAuthorityKeyId(withIssuer));
  assert.equal(readAuthorityKeyId(Buffer.from('3003820101', 'hex')), undefined);
  assert.equal(readAuthorityKeyId(Buffer.from('3000', 'hex')), undefined);
});

test('too many names and too many purposes are refused', () => {
  const many = Array.from({ length: 1025 }, (_, n) => `n${n}.example`);
  const { value } = read(oidHex.subjectAltName, subjectAltName([], many, false));
  throwsCode('certificate_invalid', /more than 1024 alternative names/, () => readAltNames(value));
  const purpose = Buffer.from('06032a0304', 'hex');
  const purposes = sequence(...Array.from({ length: 65 }, () => purpose));
  throwsCode('certificate_invalid', /too many key purposes/, () => readExtendedKeyUsage(purposes));
});

test('distinguished names are written in a fixed order and shown for people', () => {
  const name = encodeName({
    commonName: 'Ä',
    country: 'US',
    organizationalUnit: 'u',
    organization: 'o',
    serialNumber: '5',
  });
  assert.equal(describeName(name), 'C=US, O=o, OU=u, CN=Ä, serialNumber=5');
  assert.equal(describeName(emptyName), '');
  assert.deepEqual(encodeName({}), emptyName);
  assert.deepEqual(encodeName({ commonName: '' }), emptyName);
  throwsCode('der_invalid', /is not ASCII/, () => encodeName({ country: 'Ä' }));
  const foreign = sequence(Buffer.from('310c300a06032a030c0c0361204d', 'hex').subarray(0, 14));
  assert.match(describeName(foreign), /^2a030c=/);
});
