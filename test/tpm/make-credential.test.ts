import assert from 'node:assert/strict';
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { hashByName } from '../../src/tpm/algorithms.js';
import { ekTemplates } from '../../src/tpm/ek-templates.js';
import { kdfa, kdfe } from '../../src/tpm/kdf.js';
import { makeCredential } from '../../src/tpm/make-credential.js';
import { nameOf } from '../../src/tpm/name.js';
import { createSoftwareTpm } from '../fakes/software-tpm.js';
import { activate, createEk } from '../fakes/software-tpm-keys.js';
import { throwsCode } from '../support/rejects.js';

const key = Buffer.alloc(32, 1);

test('KDFa is SP 800-108 in counter mode, the NUL of its label counted once', () => {
  const block = (counter: number): Buffer =>
    createHmac('sha256', key)
      .update(Buffer.from([0, 0, 0, counter]))
      .update('STORAGE\0')
      .update('u')
      .update('v')
      .update(Buffer.from([0, 0, 1, 0x80]))
      .digest();
  const derived = kdfa(
    { hash: 'sha256', label: 'STORAGE', bits: 384 },
    key,
    Buffer.from('u'),
    Buffer.from('v'),
  );
  assert.deepEqual(Buffer.from(derived), Buffer.concat([block(1), block(2)]).subarray(0, 48));
});

test('KDFe is one hash after another over counter, secret, label and both parties', () => {
  const block = (counter: number): Buffer =>
    createHash('sha256')
      .update(Buffer.from([0, 0, 0, counter]))
      .update(key)
      .update('IDENTITY\0')
      .update('u')
      .update('v')
      .digest();
  const derived = kdfe(
    { hash: 'sha256', label: 'IDENTITY', bits: 512 },
    key,
    Buffer.from('u'),
    Buffer.from('v'),
  );
  assert.deepEqual(Buffer.from(derived), Buffer.concat([block(1), block(2)]));
  assert.equal(kdfe({ hash: 'sha512', label: 'X', bits: 128 }, key, key, key).length, 16);
});

test('a credential comes back out of every kind of endorsement key', () => {
  const akName = nameOf(createSoftwareTpm().ak(new Uint8Array(32)).public);
  for (const template of ekTemplates) {
    if (template.key.type === 'rsa' && template.key.bits === 4096) continue; // seconds to make; 3072 takes the same path
    const ek = createEk(template);
    const credential = randomBytes(32);
    const made = makeCredential({ ek: ek.public, akName, credential });
    assert.equal(made.credentialBlob.length, 2 + hashByName(template.nameAlg).size + 34, template.name);
    assert.deepEqual(Buffer.from(activate(ek, akName, made)), credential, template.name);
  }
});

test('no other key, no other Name and no changed byte gets a credential', () => {
  const [p256] = ekTemplates.filter(({ name }) => name === 'p256-l2');
  assert.ok(p256);
  const [ek, other] = [createEk(p256), createEk(p256)];
  const akName = nameOf(ek.public);
  const made = makeCredential({ ek: ek.public, akName, credential: randomBytes(32) });
  const refused = /made for another key/;
  throwsCode('tpm_credential_refused', refused, () => activate(other, akName, made));
  throwsCode('tpm_credential_refused', refused, () => activate(ek, nameOf(other.public), made));
  for (let at = 2; at < made.credentialBlob.length; at++) {
    const credentialBlob = Buffer.from(made.credentialBlob);
    credentialBlob[at] = (credentialBlob[at] ?? 0) ^ 1;
    throwsCode(
      'tpm_credential_refused',
      refused,
      () => activate(ek, akName, { ...made, credentialBlob }),
      `${at}`,
    );
  }
});

test('a credential longer than the digest, a key without symmetric scheme and a key that is none are refused', () => {
  const [, p256] = ekTemplates;
  assert.ok(p256);
  const { public: ek } = createEk(p256);
  const akName = nameOf(ek);
  const long = { ek, akName, credential: new Uint8Array(33) };
  throwsCode('credential_too_long', /33 bytes is longer than the sha256 digest/, () => makeCredential(long));
  const credential = new Uint8Array(32);
  throwsCode('ek_symmetric', /no symmetric/, () =>
    makeCredential({ ek: { ...ek, symmetric: null }, akName, credential }),
  );
  const off = { ...ek, type: 'ecc', curve: 'P-256', x: credential, y: credential } as const;
  throwsCode('tpm_key_invalid', /P-256/, () => makeCredential({ ek: off, akName, credential }));
  const small = { ...ek, type: 'rsa', bits: 2048, exponent: 0, modulus: Uint8Array.of(0x0f) } as const;
  throwsCode('tpm_key_invalid', /RSA/, () => makeCredential({ ek: small, akName, credential }));
});
