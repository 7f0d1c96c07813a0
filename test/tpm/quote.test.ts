import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ErrorCode } from '../../src/errors.js';
import { attribute } from '../../src/tpm/attributes.js';
import type { PcrSelection } from '../../src/tpm/pcr.js';
import type { TpmPublic } from '../../src/tpm/public.js';
import { type ExpectedQuote, explainQuote, type QuoteInput, verifyQuote } from '../../src/tpm/quote.js';
import { parseSignature, serialiseSignature } from '../../src/tpm/signature.js';
import { createSoftwareTpm, type SoftwareTpmOptions } from '../fakes/software-tpm.js';
import { throwsCode } from '../support/rejects.js';

const unique = new Uint8Array(32);
const extraData = new Uint8Array(32).fill(5);
const selection: PcrSelection = { bank: 'sha256', pcrs: [0, 7] };
const zeros = new Map([0, 7].map((pcr) => [pcr, new Uint8Array(32)]));

async function quoteBy(
  options: SoftwareTpmOptions = {},
  expected: Partial<ExpectedQuote> = {},
): Promise<QuoteInput> {
  const chip = createSoftwareTpm(options);
  const quote = await chip.quote(unique, extraData, selection);
  return { ...quote, ak: chip.ak(unique).public, expected: { extraData, selection, ...expected } };
}

const rsaKey =
  (algorithm: 'rsassa' | 'rsapss') =>
  ({ nameAlg, attributes, policy, symmetric }: TpmPublic): TpmPublic => ({
    ...{ nameAlg, attributes, policy, symmetric },
    scheme: { algorithm, hash: 'sha384' },
    type: 'rsa',
    bits: 2048,
    exponent: 0,
    modulus: new Uint8Array(),
  });

test('a quote says what the chip said', async () => {
  const facts = verifyQuote(
    await quoteBy({
      firmwareVersion: 77n,
      clock: { clock: 5n, resetCount: 3, restartCount: 2, safe: false },
    }),
  );
  const { clock, resetCount, restartCount, safe, firmwareVersion, digestHash } = facts;
  assert.deepEqual([clock, resetCount, restartCount, safe, firmwareVersion], [6n, 3, 2, false, 77n]);
  assert.equal(digestHash, 'sha256');
  assert.deepEqual(facts.selection, selection);
});

test('quotes by RSA keys verify with the scheme that is fixed in the key', async () => {
  for (const scheme of ['rsassa', 'rsapss'] as const) {
    const input = await quoteBy({ akTemplate: rsaKey(scheme) }, { pcrValues: zeros });
    assert.equal(verifyQuote(input).digestHash, 'sha384', scheme);
  }
});

test('a signature does not choose its algorithm', async () => {
  const input = await quoteBy();
  const parsed = parseSignature(input.signature);
  const weak = serialiseSignature({ ...parsed, hash: 'sha1' });
  throwsCode('quote_signature_scheme', /ecdsa with sha1, but the key has ecdsa with sha256/, () =>
    verifyQuote({ ...input, signature: weak }),
  );
  const free = { ...input.ak, scheme: null };
  throwsCode('quote_signature_scheme', /the key has no scheme/, () => verifyQuote({ ...input, ak: free }));
  const rsa = {
    ...input,
    ak: { ...rsaKey('rsassa')(input.ak), scheme: { algorithm: 'ecdsa', hash: 'sha256' } } as TpmPublic,
  };
  throwsCode('quote_signature_scheme', /ecdsa with sha256/, () => verifyQuote(rsa));
});

test('a signature by a key with an absurd modulus is refused and nothing breaks', async () => {
  const input = await quoteBy({ akTemplate: rsaKey('rsassa') });
  for (const modulus of [Uint8Array.of(15), new Uint8Array(512).fill(0xff), new Uint8Array(8)]) {
    const task = () => verifyQuote({ ...input, ak: { ...input.ak, modulus } as TpmPublic });
    throwsCode('quote_signature', /not by the attestation key/, task, `${modulus.length}`);
  }
});

test('a key that may sign anything cannot quote, whatever it signs', async () => {
  const unrestricted = (template: TpmPublic) => ({
    ...template,
    attributes: template.attributes & ~attribute.restricted,
  });
  const input = await quoteBy({ akTemplate: unrestricted });
  throwsCode('ak_unrestricted', /restricted/, () => verifyQuote(input));
});

test('PCRs in another order are the same selection', async () => {
  const input = await quoteBy({}, { selection: { bank: 'sha256', pcrs: [7, 0] } });
  assert.equal(verifyQuote(input).resetCount, 1);
});

test('explained: every check of a good quote passes, by name and in order', async () => {
  const checks = explainQuote(await quoteBy({}, { pcrValues: zeros }));
  assert.deepEqual(
    checks.map(({ check, result }) => `${check} ${result}`),
    ['key', 'scheme', 'signature', 'structure', 'nonce', 'signer', 'selection', 'pcr-digest'].map(
      (name) => `${name} passed`,
    ),
  );
  assert.ok(checks.every(({ message }) => message.length > 10));
});

test('explained: what was not given is not checked, and so is what rests on a failure', async () => {
  const input = await quoteBy();
  const bare = explainQuote({ ...input, expected: {} });
  const unchecked = bare.filter(({ result }) => result === 'not checked').map(({ check }) => check);
  assert.deepEqual(unchecked, ['nonce', 'selection', 'pcr-digest']);
  const broken = explainQuote({ ...input, attest: input.attest.subarray(1) });
  const results = Object.fromEntries(broken.map(({ check, result }) => [check, result]));
  assert.equal(results['key'], 'passed');
  assert.equal(results['signature'], 'failed');
  assert.equal(results['structure'], 'failed');
  assert.equal(results['signer'], 'not checked');
});

test('explained and verified agree: what verify refuses first is what explain calls failed first', async () => {
  const good = await quoteBy({}, { pcrValues: zeros });
  const wrongValues = new Map([...zeros].map(([pcr]) => [pcr, extraData]));
  const rows: [QuoteInput, ErrorCode, string][] = [
    [{ ...good, expected: { ...good.expected, extraData: unique } }, 'quote_nonce', 'nonce'],
    [
      { ...good, expected: { ...good.expected, selection: { bank: 'sha256', pcrs: [0] } } },
      'quote_selection',
      'selection',
    ],
    [{ ...good, expected: { ...good.expected, pcrValues: wrongValues } }, 'quote_pcr_digest', 'pcr-digest'],
    [await quoteBy({ akHierarchy: 0x40000001 }), 'quote_signer', 'signer'],
    [await quoteBy({ tamper: (fields) => ({ ...fields, magic: 0 }) }), 'quote_magic', 'structure'],
  ];
  for (const [input, code, name] of rows) {
    throwsCode(code, /./, () => verifyQuote(input), name);
    assert.equal(explainQuote(input).find(({ result }) => result === 'failed')?.check, name);
  }
});
