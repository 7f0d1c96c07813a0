import assert from 'node:assert/strict';
import {
  constants,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  verify,
} from 'node:crypto';
import test from 'node:test';
import { joinTokenAttestor } from '../../../src/agent/node-attestors/join-token.js';
import { x509popAttestor } from '../../../src/agent/node-attestors/x509pop.js';
import { writePemCertificates } from '../../../src/x509/pem.js';
import { readCertificate } from '../../../src/x509/read-certificate.js';
import { exportSpki } from '../../../src/x509/spki.js';
import { manualClock } from '../../fakes/manual-clock.js';
import { signingAuthority } from '../../fakes/signing-authority.js';

const settings = { certificateFile: '/etc/host.pem', keyFile: '/etc/host.key' };
const { signal } = new AbortController();
const connection = { csr: Buffer.alloc(0), serverLeaf: Buffer.alloc(0) };

function files(key: KeyObject, shown = key) {
  const chain = signingAuthority(manualClock()).x509For(exportSpki(key), 'spiffe://example.org/host', 60);
  const pem = shown.export({ format: 'pem', type: 'pkcs8' });
  const content: Record<string, string | Buffer> = {
    '/etc/host.pem': writePemCertificates(chain),
    '/etc/host.key': pem,
  };
  return { readSecret: async (file: string) => Buffer.from(content[file] ?? '') };
}

const ec = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

test('an elliptic-curve key signs both nonces, with r and s apart', async () => {
  const attempt = await x509popAttestor(settings, files(ec())).begin(signal);
  const { certificates } = JSON.parse(Buffer.from(attempt.payload).toString());
  const leaf = readCertificate(Buffer.from(certificates[0], 'base64'));
  const nonce = randomBytes(32);
  const challenge = Buffer.from(JSON.stringify({ ecdsa_signature: { nonce: nonce.toString('base64') } }));
  const { response } = await attempt.answer(challenge, connection);
  const answer = JSON.parse(Buffer.from(response).toString()).ecdsa_signature;
  const [theirs, r, s] = [answer.nonce, answer.r, answer.s].map((part) => Buffer.from(part, 'base64'));
  assert.ok(theirs !== undefined && r !== undefined && s !== undefined);
  const key = createPublicKey({ key: Buffer.from(leaf.spki), format: 'der', type: 'spki' });
  const data = Buffer.concat([nonce, theirs]);
  assert.ok(verify('sha256', data, { key, dsaEncoding: 'ieee-p1363' }, Buffer.concat([r, s])));
});

test('an RSA key signs both nonces with PSS', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const attempt = await x509popAttestor(settings, files(privateKey)).begin(signal);
  const nonce = randomBytes(32);
  const challenge = Buffer.from(JSON.stringify({ rsa_signature: { nonce: nonce.toString('base64') } }));
  const { response } = await attempt.answer(challenge, connection);
  const answer = JSON.parse(Buffer.from(response).toString()).rsa_signature;
  const data = Buffer.concat([nonce, Buffer.from(answer.nonce, 'base64')]);
  const padding = constants.RSA_PKCS1_PSS_PADDING;
  assert.ok(verify('sha256', data, { key: publicKey, padding }, Buffer.from(answer.signature, 'base64')));
});

test('a challenge of another kind, without JSON, or with a short nonce is not answered', async () => {
  const attempt = await x509popAttestor(settings, files(ec())).begin(signal);
  const nonce = randomBytes(32).toString('base64');
  const cases: [string, string][] = [
    ['nonsense', "the server's x509pop challenge is not JSON"],
    [JSON.stringify({ rsa_signature: { nonce } }), 'has no ecdsa_signature with a nonce of 32 bytes'],
    [
      JSON.stringify({ ecdsa_signature: { nonce: 'AAAA' } }),
      'has no ecdsa_signature with a nonce of 32 bytes',
    ],
    [' '.repeat(5000), 'is longer than 4096 bytes'],
  ];
  for (const [challenge, message] of cases) {
    await assert.rejects(attempt.answer(Buffer.from(challenge), connection), (error: Error) => {
      assert.equal('code' in error && error.code, 'node_attestation_failed');
      assert.ok(error.message.endsWith(message), error.message);
      return true;
    });
  }
});

test('a key that is not that of the certificate, or no key at all, is told before the server is asked', async () => {
  await assert.rejects(x509popAttestor(settings, files(ec(), ec())).begin(signal), {
    code: 'node_attestation_failed',
    message: 'the key in /etc/host.key is not that of the certificate in /etc/host.pem',
  });
  const { readSecret } = files(ec());
  const noKey = {
    readSecret: async (file: string) => (file === '/etc/host.key' ? Buffer.from('x') : readSecret(file)),
  };
  await assert.rejects(x509popAttestor(settings, noKey).begin(signal), {
    code: 'node_secret_missing',
    message: '/etc/host.key holds no private key in PEM',
  });
});

test('a join token is read anew each time, without its newline, and answers no challenge', async () => {
  let content = 'one\n';
  const attestor = joinTokenAttestor({ tokenFile: '/t' }, { readSecret: async () => Buffer.from(content) });
  const first = await attestor.begin(signal);
  assert.equal(Buffer.from(first.payload).toString(), 'one');
  await assert.rejects(first.answer(Buffer.alloc(1), connection), {
    code: 'node_attestation_failed',
    message: 'the server sent a challenge, which a join token has no answer to',
  });
  content = ' \n';
  await assert.rejects(attestor.begin(signal), {
    code: 'node_secret_missing',
    message: 'the join token in /t is empty',
  });
});
