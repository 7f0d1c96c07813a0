/**
 * `x509pop`: possession of the key of a certificate that chains to a CA of the operator's, in the messages of SPIRE's
 * agent. Proves nothing about hardware, and does not bind the certified key: the channel alone holds the two together.
 */
import { constants, createHash, createPublicKey, type KeyObject, randomBytes, verify } from 'node:crypto';
import { type Clock, unixSeconds } from '../../clock.js';
import { TouchmarkError } from '../../errors.js';
import { makeSpiffeId, type TrustDomain } from '../../spiffe/id.js';
import type { Selector } from '../../spiffe/selector.js';
import { verifyChain } from '../../x509/chain.js';
import { atEnd, enter, enterWhole, expect, readElement, tag } from '../../x509/der.js';
import { keyUsageBit } from '../../x509/extensions.js';
import { type Certificate, readCertificate } from '../../x509/read-certificate.js';
import type { Datastore } from '../datastores/contract.js';
import type { AttestationRequest, AttestedIdentity, NodeAttestor } from './contract.js';
import {
  readEcdsaAnswer,
  readPopPayload,
  readRsaAnswer,
  refused,
  writePopChallenge,
} from './x509pop-messages.js';

export interface X509popDeps {
  readonly trustDomain: TrustDomain;
  readonly store: Datastore;
  readonly clock: Clock;
  /** The operator's CA certificates. */
  readonly anchors: readonly Certificate[];
}

const NONCE_BYTES = 32;
const MAX_RSA_BITS = 8192;

export function x509popAttestor(deps: X509popDeps): NodeAttestor {
  return { type: 'x509pop', attest: (request) => attestCertificate(deps, request) };
}

async function attestCertificate(deps: X509popDeps, request: AttestationRequest): Promise<AttestedIdentity> {
  const [leaf, ...intermediates] = readPopPayload(request.payload).map(readOne);
  if (leaf === undefined) throw refused('the payload holds no certificates');
  const path = pathOf(deps, leaf, intermediates);
  const nodeId = makeSpiffeId(deps.trustDomain, `/spire/agent/x509pop/${fingerprint(leaf)}`);
  const before = await deps.store.get('node', nodeId);
  await proveKey(leaf, request);
  return {
    nodeId,
    selectors: selectorsOf(deps.trustDomain, leaf, path),
    canReattest: true,
    writes: [],
    // Seen before the challenge: of two attestations that race, one is refused.
    conditions: [{ kind: 'node', key: nodeId, revision: before?.revision ?? 0 }],
  };
}

function readOne(der: Buffer): Certificate {
  try {
    return readCertificate(der);
  } catch (cause) {
    throw new TouchmarkError('x509pop_refused', 'a certificate of the payload cannot be read', { cause });
  }
}

/** Keys are measured before any of them is used: what a stranger sends must not cost seconds. */
function pathOf(deps: X509popDeps, leaf: Certificate, intermediates: readonly Certificate[]): Certificate[] {
  for (const certificate of [leaf, ...intermediates]) keyOf(certificate);
  if ((leaf.keyUsage & keyUsageBit.digitalSignature) === 0) {
    throw refused('the certificate is not meant for digital signatures');
  }
  try {
    return verifyChain(leaf, intermediates, deps.anchors, { now: unixSeconds(deps.clock) });
  } catch (cause) {
    if (!(cause instanceof TouchmarkError)) throw cause;
    throw new TouchmarkError('x509pop_refused', `the certificate is not trusted: ${cause.message}`, {
      cause,
    });
  }
}

function keyOf(certificate: Certificate): KeyObject {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(certificate.spki), format: 'der', type: 'spki' });
  } catch (cause) {
    throw new TouchmarkError('x509pop_refused', 'the key of a certificate cannot be read', { cause });
  }
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  if (modulusLength > MAX_RSA_BITS || publicExponent > 0xffff_ffffn) {
    throw refused(`an RSA key of ${modulusLength} bits is larger than ${MAX_RSA_BITS}, or its exponent is`);
  }
  return key;
}

async function proveKey(leaf: Certificate, request: AttestationRequest): Promise<void> {
  const key = keyOf(leaf);
  const nonce = randomBytes(NONCE_BYTES);
  if (key.asymmetricKeyType === 'rsa') {
    const answer = readRsaAnswer(await request.challenge(writePopChallenge('rsa_signature', nonce)));
    const options = {
      key,
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength: constants.RSA_PSS_SALTLEN_AUTO,
    };
    return checkSigned(verify('sha256', bothNonces(nonce, answer.nonce), options, answer.signature));
  }
  if (key.asymmetricKeyType !== 'ec')
    throw refused(`a key of type ${key.asymmetricKeyType} is not supported`);
  const answer = readEcdsaAnswer(await request.challenge(writePopChallenge('ecdsa_signature', nonce)));
  const size = Math.ceil(curveBits(key) / 8);
  if (answer.r.length > size || answer.s.length > size)
    throw refused('the signature is longer than the curve');
  const signature = Buffer.concat([leftPadded(answer.r, size), leftPadded(answer.s, size)]);
  const options = { key, dsaEncoding: 'ieee-p1363' } as const;
  checkSigned(verify('sha256', bothNonces(nonce, answer.nonce), options, signature));
}

const curveSizes: Readonly<Record<string, number>> = { prime256v1: 256, secp384r1: 384, secp521r1: 521 };

function curveBits(key: KeyObject): number {
  const bits = curveSizes[key.asymmetricKeyDetails?.namedCurve ?? ''];
  if (bits === undefined) throw refused('the curve of the key is not supported');
  return bits;
}

function leftPadded(value: Buffer, size: number): Buffer {
  return Buffer.concat([Buffer.alloc(size - value.length), value]);
}

/** Both sides' nonces, hashed by the signature scheme itself. */
function bothNonces(ours: Buffer, theirs: Buffer): Buffer {
  if (theirs.length !== NONCE_BYTES) throw refused(`the nonce of the answer has ${theirs.length} bytes`);
  return Buffer.concat([ours, theirs]);
}

function checkSigned(good: boolean): void {
  if (!good) throw refused('the answer is not signed by the key of the certificate');
}

/** SHA-1, as SPIRE names these nodes; a name, not a protection: the chain was verified by its signatures. */
function fingerprint(certificate: Certificate): string {
  return createHash('sha1').update(certificate.der).digest('hex');
}

function selectorsOf(trustDomain: TrustDomain, leaf: Certificate, path: readonly Certificate[]): Selector[] {
  const values = new Set<string>();
  const name = commonName(leaf.subjectDer);
  if (name !== '') values.add(`subject:cn:${name}`);
  for (const authority of path.slice(1)) values.add(`ca:fingerprint:${fingerprint(authority)}`);
  values.add(`serialnumber:${leaf.serial}`);
  const prefix = `x509pop://${trustDomain}/`;
  for (const uri of leaf.uris) {
    const [key, value, ...more] = uri.startsWith(prefix) ? uri.slice(prefix.length).split('/') : [];
    if (key && value && more.length === 0) values.add(`san:${key}:${value}`);
  }
  return [...values].sort().map((value) => ({ type: 'x509pop', value }));
}

const commonNameOid = '550403';

/** The last common name of a subject, as Go's library takes it; empty when there is none. */
function commonName(subjectDer: Uint8Array): string {
  const names = enterWhole(subjectDer, tag.sequence, 'the subject');
  let found = '';
  while (!atEnd(names)) {
    const relative = enter(names, tag.set, 'a relative name');
    while (!atEnd(relative)) {
      const attribute = enter(relative, tag.sequence, 'an attribute');
      const type = Buffer.from(expect(attribute, tag.oid, 'an attribute type').content).toString('hex');
      const value = readElement(attribute).content;
      if (type === commonNameOid) found = Buffer.from(value).toString('utf8');
    }
  }
  return found;
}
