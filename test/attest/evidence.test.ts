import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { activationProof } from '../../src/attest/activation.js';
import { type EvidenceInput, sentValues, verifyEvidence } from '../../src/attest/evidence.js';
import { quoteExtraData, transcript } from '../../src/attest/transcript.js';
import type { ErrorCode } from '../../src/errors.js';
import { attribute } from '../../src/tpm/attributes.js';
import { hierarchy, primaryQualifiedName } from '../../src/tpm/name.js';
import type { TpmPublic } from '../../src/tpm/public.js';
import { createSoftwareTpm, type SoftwareTpmOptions } from '../fakes/software-tpm.js';
import { throwsCode } from '../support/rejects.js';
import { type ExchangeOptions, exchange, unique } from './exchange.js';

test('an honest chip is believed: activation, quote and PCR values', async () => {
  const chip = createSoftwareTpm();
  chip.extend('sha256', 7, randomBytes(32));
  const { quote, pcrValues } = verifyEvidence(await exchange(chip));
  assert.equal(quote.resetCount, 1);
  assert.equal(quote.safe, true);
  assert.deepEqual([...(pcrValues?.keys() ?? [])], [0, 1, 7]);
  assert.deepEqual(pcrValues?.get(0), new Uint8Array(32));
  assert.notDeepEqual(pcrValues?.get(7), new Uint8Array(32));
});

test('every endorsement key of a chip is activated, in the order of the challenge', async () => {
  const chip = createSoftwareTpm({ templates: ['p256-l2', 'p384-h3'] });
  const input = await exchange(chip, { eks: ['p384-h3', 'p256-l2'] });
  assert.equal(verifyEvidence(input).quote.resetCount, 1);
  const credentials = [...input.challenge.credentials].reverse();
  const swapped = { ...input, challenge: { ...input.challenge, credentials } };
  throwsCode('activation_proof', /does not match/, () => verifyEvidence(swapped));
});

test('PCR values sent beside the quote must be those that were quoted; of some of them nothing is known, and none may be sent', async () => {
  const input = await exchange(createSoftwareTpm());
  const [first, ...rest] = input.evidence.pcrValues;
  assert.ok(first);
  const withValues = (pcrValues: EvidenceInput['evidence']['pcrValues']) =>
    verifyEvidence({ ...input, evidence: { ...input.evidence, pcrValues } });
  const { pcrValues: all, hints: none } = withValues(input.evidence.pcrValues);
  assert.deepEqual([[...(all?.keys() ?? [])], none], [[0, 1, 7], undefined]);
  const { pcrValues, hints } = withValues(rest);
  assert.deepEqual([pcrValues, [...(hints?.keys() ?? [])]], [undefined, [1, 7]]);
  assert.deepEqual([withValues([]).pcrValues, withValues([]).hints], [undefined, undefined]);
  const wrong = [
    [{ index: 1, value: randomBytes(20) }],
    [{ index: 2, value: randomBytes(32) }],
    [{ ...first, value: randomBytes(32) }, ...rest],
    [{ ...first, value: randomBytes(20) }, ...rest],
    [...input.evidence.pcrValues, { index: 16, value: randomBytes(32) }],
  ];
  for (const values of wrong) {
    throwsCode('quote_pcr_values', /^the PCR values beside the quote do not give its digest$/, () =>
      withValues(values),
    );
  }
});

test('values derived by replay must give the quoted digest', async () => {
  const input = await exchange(createSoftwareTpm());
  const derived = new Map([0, 1, 7].map((pcr) => [pcr, new Uint8Array(32)]));
  assert.deepEqual(verifyEvidence({ ...input, derivedValues: derived }).pcrValues, derived);
  derived.set(7, randomBytes(32));
  throwsCode('quote_pcr_digest', /sha256:0,1,7/, () => verifyEvidence({ ...input, derivedValues: derived }));
});

const attributes =
  (change: (bits: number) => number) =>
  (template: TpmPublic): TpmPublic => ({ ...template, attributes: change(template.attributes) });

interface Attack {
  name: string;
  chip?: SoftwareTpmOptions;
  exchange?: ExchangeOptions;
  code: ErrorCode;
  message: RegExp;
}

/** Everything that a host can do to its own chip's keys and quotes. */
const attacks: readonly Attack[] = [
  {
    name: 'an unrestricted attestation key',
    chip: { akTemplate: attributes((bits) => bits & ~attribute.restricted) },
    code: 'ak_unrestricted',
    message: /not restricted/,
  },
  {
    name: 'an imported attestation key',
    chip: { akTemplate: attributes((bits) => bits & ~attribute.sensitiveDataOrigin) },
    code: 'ak_imported',
    message: /sensitiveDataOrigin is clear/,
  },
  {
    name: 'an attestation key that decrypts',
    chip: { akTemplate: attributes((bits) => bits | attribute.decrypt) },
    code: 'ak_decrypts',
    message: /also a decryption key/,
  },
  {
    name: 'an attestation key on another curve',
    chip: { akTemplate: (template) => ({ ...template, curve: 'P-384' }) as TpmPublic },
    code: 'ak_curve',
    message: /P-384 key instead of P-256/,
  },
  {
    name: 'an attestation key of the owner hierarchy',
    chip: { akHierarchy: hierarchy.owner },
    code: 'quote_signer',
    message: /endorsement hierarchy/,
  },
  {
    name: 'a quote over a resettable PCR',
    exchange: { quoted: { bank: 'sha256', pcrs: [23] } },
    code: 'quote_selection',
    message: /sha256:23 instead of sha256:0,1,7/,
  },
  {
    name: 'a quote over a subset',
    exchange: { quoted: { bank: 'sha256', pcrs: [0, 1] } },
    code: 'quote_selection',
    message: /sha256:0,1 instead/,
  },
  {
    name: 'a quote over a bank that is not allocated',
    exchange: { quoted: { bank: 'sha384', pcrs: [0, 1, 7] } },
    code: 'quote_selection',
    message: /sha384:none instead/,
  },
  {
    name: 'a quote over the SHA-1 bank',
    chip: { banks: ['sha1', 'sha256'] },
    exchange: { quoted: { bank: 'sha1', pcrs: [0, 1, 7] } },
    code: 'quote_selection',
    message: /sha1:0,1,7 instead/,
  },
  {
    name: 'a replayed nonce',
    exchange: { nonceQuoted: Buffer.alloc(32, 9) },
    code: 'quote_nonce',
    message: /another challenge/,
  },
  {
    name: 'structures without TPM_GENERATED',
    chip: { tamper: (fields) => ({ ...fields, magic: 0x11111111 }) },
    code: 'quote_magic',
    message: /0x11111111: no TPM made it/,
  },
  {
    name: 'another attested structure',
    chip: { tamper: (fields) => ({ ...fields, type: 0x8017 }) },
    code: 'quote_type',
    message: /0x8017/,
  },
  {
    name: 'signed bytes behind the quote',
    chip: { tamper: (fields) => ({ ...fields, trailing: Uint8Array.of(0) }) },
    code: 'tpm_structure_trailing',
    message: /1 bytes/,
  },
  {
    name: 'two banks where one was asked for',
    chip: {
      tamper: (fields) => ({ ...fields, selections: [...fields.selections, { bank: 'sha384', pcrs: [0] }] }),
    },
    code: 'quote_selection',
    message: /sha256:0,1,7\+sha384:0 instead/,
  },
  {
    name: 'a digest of another size',
    chip: { tamper: (fields) => ({ ...fields, pcrDigest: new Uint8Array(20) }) },
    code: 'quote_pcr_digest',
    message: /20 bytes/,
  },
];

for (const attack of attacks) {
  test(`refused: ${attack.name}`, async () => {
    const input = await exchange(createSoftwareTpm(attack.chip), attack.exchange);
    throwsCode(attack.code, attack.message, () => verifyEvidence(input));
  });
}

test('refused: the conversation relayed to another server, another request, another challenge, another payload', async () => {
  const relays = ['serverLeaf', 'csr', 'challenge', 'payload'] as const;
  for (const part of relays) {
    const input = await exchange(createSoftwareTpm(), { agentSaw: { [part]: Buffer.from('other') } });
    throwsCode('activation_proof', /another connection/, () => verifyEvidence(input), part);
  }
  const elsewhere = await exchange(createSoftwareTpm(), { agentSaw: { trustDomain: 'other.org' } });
  throwsCode('activation_proof', /another connection/, () => verifyEvidence(elsewhere));
});

test('refused: a quote for another request beside an activation proof for this one', async () => {
  const chip = createSoftwareTpm();
  const input = await exchange(chip);
  const other = transcript({ ...input.transcript, csr: Buffer.from('another key') });
  const quote = await chip.quote(
    unique,
    quoteExtraData(input.challenge.nonce, other),
    input.challenge.selection,
  );
  throwsCode('quote_nonce', /another request/, () =>
    verifyEvidence({ ...input, evidence: { ...input.evidence, ...quote } }),
  );
});

test('refused: the answer of another chip, which could not activate', async () => {
  const input = await exchange(createSoftwareTpm());
  const guessed = activationProof([randomBytes(32)], transcript(input.transcript));
  const evidence = { ...input.evidence, activationProof: guessed };
  throwsCode('activation_proof', /another chip/, () => verifyEvidence({ ...input, evidence }));
});

test('refused: the credential itself instead of its proof', async () => {
  const input = await exchange(createSoftwareTpm());
  const [credential] = input.challenge.credentials;
  assert.ok(credential);
  const evidence = { ...input.evidence, activationProof: credential };
  throwsCode('activation_proof', /does not match/, () => verifyEvidence({ ...input, evidence }));
});

test('refused: a quote that the host wrote and signed with another key that claims to be the attestation key', async () => {
  const input = await exchange(createSoftwareTpm());
  const liar = createSoftwareTpm();
  const fields = { qualifiedSigner: primaryQualifiedName(input.challenge.ak), extraData: new Uint8Array(32) };
  const forged = liar.forge(unique, fields);
  const evidence = { ...input.evidence, ...forged };
  throwsCode('quote_signature', /not by the attestation key/, () => verifyEvidence({ ...input, evidence }));
});

test('refused: a proof without any credential', async () => {
  const input = await exchange(createSoftwareTpm());
  const challenge = { ...input.challenge, credentials: [] };
  throwsCode('attest_message_invalid', /at least one credential/, () =>
    verifyEvidence({ ...input, challenge }),
  );
});

test('values beside a quote do not keep the message that they came in, and what stayed alike is kept once', async () => {
  const { quote, pcrValues: before } = verifyEvidence(await exchange(createSoftwareTpm()));
  assert.ok(before);
  const message = Buffer.alloc(1024 * 1024);
  const sent = [...before].map(([index, value], at) => {
    message.set(value, at * 32);
    return { index, value: message.subarray(at * 32, at * 32 + 32) };
  });
  const fresh = sentValues(sent, quote).pcrValues ?? assert.fail('there are no values');
  for (const value of fresh.values()) assert.notEqual(value.buffer, message.buffer);
  const again = sentValues(sent, quote, before).pcrValues;
  for (const [index, value] of before) assert.equal(again?.get(index), value);
  const others = new Map([...before.keys()].map((index) => [index, Buffer.alloc(32, 0xee)]));
  assert.deepEqual(sentValues(sent, quote, others).pcrValues, fresh, 'what was before vouches for nothing');
});
