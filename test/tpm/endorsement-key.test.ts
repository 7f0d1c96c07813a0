import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import type { ErrorCode } from '../../src/errors.js';
import { attribute } from '../../src/tpm/attributes.js';
import {
  type EkTemplate,
  type EkTemplateName,
  ekPolicies,
  ekTemplateBytes,
  ekTemplatePublic,
  ekTemplates,
} from '../../src/tpm/ek-templates.js';
import { checkEndorsementKey } from '../../src/tpm/endorsement-key.js';
import { parsePublic, type TpmPublic } from '../../src/tpm/public.js';
import { createEk } from '../fakes/software-tpm-keys.js';
import { throwsCode } from '../support/rejects.js';

function template(name: EkTemplateName): EkTemplate {
  const found = ekTemplates.find((one) => one.name === name);
  assert.ok(found);
  return found;
}

test('NV indices and attributes are those of the profile', () => {
  const rows = ekTemplates.map(({ name, nv, attributes }) => [
    name,
    nv.certificate.toString(16),
    attributes.toString(16),
  ]);
  assert.deepEqual(rows, [
    ['rsa2048-l1', '1c00002', '300b2'],
    ['p256-l2', '1c0000a', '300b2'],
    ['rsa2048-h1', '1c00012', '300f2'],
    ['p256-h2', '1c00014', '300f2'],
    ['p384-h3', '1c00016', '300f2'],
    ['p521-h4', '1c00018', '300f2'],
    ['rsa3072-h6', '1c0001c', '300f2'],
    ['rsa4096-h7', '1c0001e', '300f2'],
  ]);
});

test('the policies are what their commands compute', () => {
  for (const [hash, { a, b, c }] of Object.entries(ekPolicies)) {
    const step = (...parts: (string | Uint8Array)[]): Buffer => {
      const state = createHash(hash);
      for (const part of parts) state.update(typeof part === 'string' ? Buffer.from(part, 'hex') : part);
      return state.digest();
    };
    const zero = new Uint8Array(a.length);
    const policySecret = step(step(zero, '00000151', '4000000b'));
    assert.deepEqual(policySecret, Buffer.from(a), `${hash} A`);
    assert.deepEqual(step(zero, '00000171', a, c), Buffer.from(b), `${hash} B`);
  }
});

test('a template is a public area without a number: full size in L, empty in H, a nonce in front', () => {
  for (const one of ekTemplates)
    assert.deepEqual(parsePublic(ekTemplateBytes(one)), ekTemplatePublic(one), one.name);
  assert.equal(ekTemplateBytes(template('rsa2048-l1')).length, 314);
  assert.equal(ekTemplateBytes(template('p256-l2')).length, 122);
  assert.equal(ekTemplateBytes(template('rsa2048-h1')).length, 314 - 256);
  const withNonce = ekTemplatePublic(template('p256-l2'), Uint8Array.of(1, 2));
  assert.ok(withNonce.type === 'ecc');
  assert.deepEqual([withNonce.x.length, withNonce.x[0], withNonce.x[1], withNonce.x[2]], [32, 1, 2, 0]);
});

test('a key of each template is recognised', () => {
  for (const name of ['rsa2048-l1', 'p256-l2', 'rsa2048-h1', 'p256-h2', 'p384-h3', 'p521-h4'] as const) {
    assert.equal(checkEndorsementKey(createEk(template(name)).public).name, name);
  }
});

test('the P-384 key that swtpm makes follows H-3', () => {
  const hex =
    '0023000c000300f20030b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c0ad9bde419cacb47ba09699646150f9fc000f3f80e12' +
    '00060100004300100004001000' +
    '30c690db96d136f41cddcd92999165b1ea4db7d917e35fb3552e6567f623215d215ffab035367adef2d361943885880e88' +
    '00305f97b9f28515ebed3a71e4d71a7dc9aedc3b8179e39783f007b20a8d94b17aaca7735fac52b514705ce1f27705ec82de';
  assert.equal(checkEndorsementKey(parsePublic(Buffer.from(hex, 'hex'))).name, 'p384-h3');
});

test('every departure from the template has its own refusal', () => {
  const good = createEk(template('p256-l2')).public;
  const rows: [change: Partial<TpmPublic>, code: ErrorCode, message: RegExp][] = [
    [{ attributes: good.attributes | attribute.sign }, 'ek_attributes', /has the attributes .*sign/],
    [{ attributes: good.attributes & ~attribute.restricted }, 'ek_attributes', /decrypt/],
    [{ nameAlg: 'sha384' }, 'ek_name_algorithm', /sha384 instead of sha256/],
    [{ policy: new Uint8Array(32) }, 'ek_policy', /another authorisation policy than p256-l2/],
    [{ symmetric: null }, 'ek_symmetric', /none instead of aes-128/],
    [
      { symmetric: { algorithm: 'aes', bits: 256, mode: 'cfb' } },
      'ek_symmetric',
      /aes-256 instead of aes-128/,
    ],
    [{ scheme: { algorithm: 'ecdsa', hash: 'sha256' } }, 'ek_scheme', /scheme ecdsa/],
    [{ x: new Uint8Array() } as Partial<TpmPublic>, 'ek_key', /coordinates of 0 and 32 bytes/],
  ];
  for (const [change, code, message] of rows) {
    throwsCode(
      code,
      message,
      () => checkEndorsementKey({ ...good, ...change } as TpmPublic),
      JSON.stringify(change),
    );
  }
});

test('RSA keys of another size, with another exponent or without a modulus are refused', () => {
  const good = createEk(template('rsa2048-l1')).public;
  assert.ok(good.type === 'rsa');
  const rsa = (change: object) => () => checkEndorsementKey({ ...good, ...change });
  throwsCode('ek_template', /follows no template/, rsa({ bits: 1024 }));
  throwsCode('ek_key', /exponent 3 instead of 65537/, rsa({ exponent: 3 }));
  throwsCode('ek_key', /modulus of 0 bits instead of 2048/, rsa({ modulus: new Uint8Array(256) }));
  throwsCode('ek_key', /modulus of 0 bits/, rsa({ modulus: new Uint8Array() }));
  assert.equal(checkEndorsementKey({ ...good, exponent: 65537 }).name, 'rsa2048-l1');
});
