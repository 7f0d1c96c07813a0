import assert from 'node:assert/strict';
import { constants, createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { describe, it } from 'node:test';
import { x509popAttestor } from '../../../src/server/node-attestors/x509pop.js';
import { formatSelector } from '../../../src/spiffe/selector.js';
import { bitString, oid, sequence, tag, tlv, unsignedInteger } from '../../../src/x509/der.js';
import {
  basicConstraints,
  extension,
  extensionList,
  keyUsage,
  keyUsageBit,
} from '../../../src/x509/extensions.js';
import { encodeName } from '../../../src/x509/name.js';
import { readCertificate } from '../../../src/x509/read-certificate.js';
import { signDer, signingSchemeOf } from '../../../src/x509/signature.js';
import { exportSpki } from '../../../src/x509/spki.js';
import { encodeTime } from '../../../src/x509/time.js';
import { attestWorld, domain } from '../../fakes/attest-world.js';
import { type AttestingAgent, newCsr } from '../../fakes/chip-agent.js';
import { manualClock } from '../../fakes/manual-clock.js';
import { rejectsCode } from '../../support/rejects-async.js';

interface Made {
  readonly der: Buffer;
  readonly key: KeyObject;
  readonly name: Buffer;
}

interface Wish {
  readonly key?: KeyObject;
  readonly usage?: number;
  readonly authority?: boolean;
  readonly uris?: readonly string[];
}

const now = Math.floor(manualClock().now() / 1000);
const ecKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

function make(commonName: string, issuer: Made | undefined, wish: Wish = {}): Made {
  const key = wish.key ?? ecKey();
  const name = encodeName({ commonName });
  const signer = issuer ?? { key, name };
  const usage = wish.usage ?? (wish.authority ? keyUsageBit.keyCertSign : keyUsageBit.digitalSignature);
  const uris = (wish.uris ?? []).map((uri) => tlv(0x86, Buffer.from(uri)));
  const names = uris.length === 0 ? [] : [extension(oid('2.5.29.17'), false, sequence(...uris))];
  const tbs = sequence(
    tlv(tag.constructed(0), unsignedInteger(Uint8Array.of(2))),
    unsignedInteger(Uint8Array.of(0x0a, 0xbc)),
    signingSchemeOf(signer.key).identifier,
    signer.name,
    sequence(encodeTime(now - 3600), encodeTime(now + 3600)),
    name,
    exportSpki(key),
    tlv(
      tag.constructed(3),
      extensionList(basicConstraints(wish.authority === true), keyUsage(usage), ...names),
    ),
  );
  const der = sequence(tbs, signingSchemeOf(signer.key).identifier, bitString(signDer(tbs, signer.key)));
  return { der, key, name };
}

const root = make('root', undefined, { authority: true });
const sub = make('sub', root, { authority: true });

async function attest(agent: AttestingAgent, anchors = [root]) {
  const clock = manualClock();
  const attestors = [lazy(anchors, clock)];
  const server = await attestWorld({ attestors });
  try {
    const result = await server.attest(agent);
    return { id: result.id, node: server.registry.node(result.id) };
  } finally {
    await server[Symbol.asyncDispose]();
  }
}

/** The attestor of a server that is not there yet: its store is asked for nothing that matters here. */
function lazy(anchors: readonly Made[], clock: ReturnType<typeof manualClock>) {
  const store = { get: async () => undefined } as never;
  return x509popAttestor({
    trustDomain: domain,
    store,
    clock,
    anchors: anchors.map(({ der }) => readCertificate(der)),
  });
}

function agentOf(
  chain: readonly Made[],
  change: (answer: Record<string, unknown>) => unknown = (same) => same,
): AttestingAgent {
  const [leaf] = chain;
  assert.ok(leaf);
  const certificates = chain.map(({ der }) => der.toString('base64'));
  return {
    type: 'x509pop',
    payload: Buffer.from(JSON.stringify({ certificates })),
    csr: newCsr(),
    async answer(bytes) {
      const challenge = JSON.parse(Buffer.from(bytes).toString()) as Record<string, { nonce: string } | null>;
      return Buffer.from(JSON.stringify(change(respond(challenge, leaf.key))));
    },
  };
}

function respond(
  challenge: Record<string, { nonce: string } | null>,
  key: KeyObject,
): Record<string, unknown> {
  const theirs = Buffer.from(
    (challenge['rsa_signature'] ?? challenge['ecdsa_signature'])?.nonce ?? '',
    'base64',
  );
  const ours = randomBytes(32);
  const data = Buffer.concat([theirs, ours]);
  const nonce = ours.toString('base64');
  if (key.asymmetricKeyType === 'rsa') {
    const padding = constants.RSA_PKCS1_PSS_PADDING;
    const signature = sign('sha256', data, { key, padding, saltLength: constants.RSA_PSS_SALTLEN_MAX_SIGN });
    return { rsa_signature: { nonce, signature: signature.toString('base64') } };
  }
  const both = sign('sha256', data, { key, dsaEncoding: 'ieee-p1363' });
  const half = (from: number) => trimmed(both.subarray(from, from + both.length / 2)).toString('base64');
  return { ecdsa_signature: { nonce, r: half(0), s: half(both.length / 2) } };
}

/** As Go writes big integers: without leading zeros. */
function trimmed(value: Buffer): Buffer {
  let at = 0;
  while (at < value.length - 1 && value[at] === 0) at += 1;
  return value.subarray(at);
}

const sha1 = (der: Buffer) => createHash('sha1').update(der).digest('hex');

describe('the x509pop attestor', () => {
  it('names the node and gives the selectors as SPIRE does', async () => {
    const uris = ['x509pop://example.org/env/prod', 'x509pop://other.example/env/x', 'https://example.org'];
    const leaf = make('host-1', sub, { uris });
    const { id, node } = await attest(agentOf([leaf, sub]));
    assert.equal(id, `spiffe://example.org/spire/agent/x509pop/${sha1(leaf.der)}`);
    assert.deepEqual(
      node?.selectors.map(formatSelector),
      [
        `x509pop:ca:fingerprint:${sha1(root.der)}`,
        `x509pop:ca:fingerprint:${sha1(sub.der)}`,
        'x509pop:san:env:prod',
        'x509pop:serialnumber:0abc',
        'x509pop:subject:cn:host-1',
      ].sort(),
    );
    assert.deepEqual([node?.canReattest, node?.hostId], [true, undefined]);
  });

  it('takes RSA-PSS and ECDSA on P-256 and P-384', async () => {
    const keys = [
      generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
      ecKey(),
      generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey,
    ];
    for (const key of keys) await attest(agentOf([make('host', root, { key })]));
  });

  it('refuses a certificate of another authority', async () => {
    const stranger = make('root', undefined, { authority: true });
    await rejectsCode(
      'x509pop_refused',
      /^the certificate is not trusted: /,
      attest(agentOf([make('h', stranger)])),
    );
  });

  it('refuses a certificate that is not for signatures', async () => {
    const leaf = make('h', root, { usage: keyUsageBit.keyEncipherment });
    await rejectsCode('x509pop_refused', /not meant for digital signatures$/, attest(agentOf([leaf])));
  });

  it('refuses whoever has the certificate but not its key', async () => {
    const leaf = { ...make('h', root), key: ecKey() };
    await rejectsCode(
      'x509pop_refused',
      /not signed by the key of the certificate$/,
      attest(agentOf([leaf])),
    );
  });

  it('refuses more than four intermediates before it looks at any', async () => {
    const chain = Array.from({ length: 6 }, () => sub);
    await rejectsCode('x509pop_refused', /holds 6 certificates; at most 5 are read$/, attest(agentOf(chain)));
  });

  it('refuses answers that are not what was asked for', async () => {
    const leaf = make('h', root);
    const refusal = (change: (answer: Record<string, unknown>) => unknown) => attest(agentOf([leaf], change));
    await rejectsCode(
      'x509pop_refused',
      /holds no ecdsa_signature$/,
      refusal(() => ({ rsa_signature: {} })),
    );
    await rejectsCode(
      'x509pop_refused',
      /^the answer is not a JSON object$/,
      refusal(() => [1]),
    );
    const part = (change: object) => (answer: Record<string, unknown>) => ({
      ecdsa_signature: { ...(answer['ecdsa_signature'] as object), ...change },
    });
    await rejectsCode(
      'x509pop_refused',
      /^the nonce of the answer has 3 bytes$/,
      refusal(part({ nonce: 'AAAA' })),
    );
    await rejectsCode('x509pop_refused', /^r is not base64$/, refusal(part({ r: '***' })));
    await rejectsCode(
      'x509pop_refused',
      /longer than the curve$/,
      refusal(part({ r: Buffer.alloc(40).toString('base64') })),
    );
    await rejectsCode('x509pop_refused', /not signed by/, refusal(part({ s: '' })));
  });

  it('refuses a payload that is no JSON, or no certificates', async () => {
    const agent = agentOf([make('h', root)]);
    const raw = (text: string) => attest({ ...agent, payload: Buffer.from(text) });
    await rejectsCode('x509pop_refused', /^the payload is not a JSON object$/, raw('{'));
    await rejectsCode('x509pop_refused', /^the payload holds no certificates$/, raw('{"certificates":[]}'));
    await rejectsCode('x509pop_refused', /cannot be read$/, raw('{"certificates":["AAAA"]}'));
  });
});
