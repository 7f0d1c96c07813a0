/**
 * The deny feed: what was issued and is not to be accepted any more, signed by a JWT authority of the trust domain. A compact JWS
 * whose `typ` and claims no JWT-SVID has, so that neither is ever taken for the other.
 */
import { createPublicKey } from 'node:crypto';
import { messageOf, TouchmarkError } from '../errors.js';
import { decodeBase64url } from './base64url.js';
import type { Bundle } from './bundle.js';
import { parseSpiffeId, parseTrustDomain, type SpiffeId, type TrustDomain } from './id.js';
import { type JsonObject, type JsonValue, parseJsonObject } from './json.js';
import { isJwsAlgorithm, type JwsAlgorithm, jwsSign, jwsVerify, keyFits } from './jws.js';
import { type JwtSigner, jwtLeewaySeconds } from './jwt-svid.js';

export const DENY_FEED_TYPE = 'touchmark-deny+jwt';

/** A node whose identities were taken back. */
export interface DeniedNode {
  readonly id: SpiffeId;
  /** Unix seconds: what it was issued before is not to be accepted. */
  readonly issuedBefore: number;
  /** Unix seconds at which all of that has ended by itself. */
  readonly until: number;
}

export interface DenyFeed {
  readonly domain: TrustDomain;
  /** Rises with every feed of the domain; an older one than was seen before is not to be believed. */
  readonly sequence: number;
  /** Unix seconds. */
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  readonly nodes: readonly DeniedNode[];
  /** Hex: serial numbers of X.509-SVIDs, and `jti` of JWT-SVIDs, which are drawn from the same numbers. */
  readonly serials: readonly string[];
  /** How many more there are than the feed can hold; then the authority is to be revoked as a whole. */
  readonly serialsOmitted: number;
}

const MAX_FEED = 8 * 1024 * 1024;

/** Signs a feed as it is published. */
export function signDenyFeed(feed: DenyFeed, { key, keyId, alg }: JwtSigner): string {
  const header = { alg, kid: keyId, typ: DENY_FEED_TYPE };
  const payload = {
    domain: feed.domain,
    sequence: feed.sequence,
    this_update: feed.thisUpdate,
    next_update: feed.nextUpdate,
    nodes: feed.nodes.map(({ id, issuedBefore, until }) => ({ id, issued_before: issuedBefore, until })),
    serials: feed.serials,
    serials_omitted: feed.serialsOmitted,
  };
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${jwsSign(alg, input, key).toString('base64url')}`;
}

interface Parsed {
  readonly feed: DenyFeed;
  readonly algorithm: JwsAlgorithm;
  readonly keyId: string;
  readonly signingInput: string;
  readonly signature: Uint8Array;
}

/**
 * Reads a feed. Checks neither signature nor time: **nothing is authenticated**.
 * @throws TouchmarkError `deny_feed_invalid`
 */
export function readDenyFeed(text: string): DenyFeed {
  return parse(text).feed;
}

/**
 * Reads a feed and checks that a key of the bundle signed it, that it is of the bundle's trust domain and of now. Does not
 * establish that there is no newer one: compare `sequence` with the last one that was seen.
 * @param now Unix seconds
 * @throws TouchmarkError `deny_feed_invalid`, `deny_feed_untrusted`
 */
export function verifyDenyFeed(text: string, bundle: Bundle, now: number): DenyFeed {
  const { feed, algorithm, keyId, signingInput, signature } = parse(text);
  if (feed.domain !== bundle.trustDomain)
    throw untrusted(`is of ${feed.domain}, not of ${bundle.trustDomain}`);
  const authority = bundle.jwtAuthorities.find((candidate) => candidate.keyId === keyId);
  if (authority === undefined)
    throw untrusted(`is signed by a key that the bundle has not: ${keyId.slice(0, 64)}`);
  const key = createPublicKey({ key: Buffer.from(authority.spki), format: 'der', type: 'spki' });
  if (!keyFits(algorithm, key) || !jwsVerify(algorithm, signingInput, key, signature)) {
    throw untrusted('has a signature that is not good');
  }
  if (now + jwtLeewaySeconds < feed.thisUpdate) throw untrusted(`begins at ${iso(feed.thisUpdate)} only`);
  if (now > feed.nextUpdate) throw untrusted(`is out of date since ${iso(feed.nextUpdate)}`);
  return feed;
}

/** What is known of an SVID that was verified: a certificate's serial number and begin, a token's `jti` and `iat`. */
export interface SvidFacts {
  readonly id: SpiffeId;
  /** Hex; undefined for a token without `jti`. */
  readonly number: string | undefined;
  /** Unix seconds. */
  readonly issuedAt: number;
}

/** Whether the feed names this SVID: by its number, or because a node that was withdrawn calls itself by it. */
export function isDenied(feed: DenyFeed, { id, number, issuedAt }: SvidFacts): boolean {
  if (number !== undefined && feed.serials.includes(number)) return true;
  return feed.nodes.some((node) => node.id === id && issuedAt < node.issuedBefore);
}

function parse(text: string): Parsed {
  if (text.length > MAX_FEED) throw invalid(`is longer than ${MAX_FEED} characters`);
  const parts = text.trim().split('.');
  const [header = '', payload = '', signature = ''] = parts;
  if (parts.length !== 3) throw invalid(`has ${parts.length} parts instead of three`);
  const { alg, kid, typ } = readPart(header, 'header');
  if (typ !== DENY_FEED_TYPE) throw invalid(`is not of type ${DENY_FEED_TYPE}`);
  if (!isJwsAlgorithm(alg)) throw invalid('is signed by an algorithm that is not allowed');
  if (typeof kid !== 'string' || kid === '') throw invalid('names no key');
  const bytes = decodeBase64url(signature);
  if (bytes === undefined || bytes.length === 0) throw invalid('has no signature');
  const feed = feedOf(readPart(payload, 'payload'));
  return { feed, algorithm: alg, keyId: kid, signingInput: `${header}.${payload}`, signature: bytes };
}

function readPart(part: string, what: string): JsonObject {
  const bytes = decodeBase64url(part);
  if (bytes === undefined) throw invalid(`has a ${what} that is not base64url`);
  try {
    return parseJsonObject(bytes, { maxLength: MAX_FEED });
  } catch (cause) {
    throw new TouchmarkError(
      'deny_feed_invalid',
      `the deny feed's ${what} is not valid: ${messageOf(cause)}`,
      { cause },
    );
  }
}

function feedOf(payload: JsonObject): DenyFeed {
  const { domain, nodes, serials } = payload;
  if (typeof domain !== 'string') throw invalid('names no domain');
  if (!Array.isArray(nodes) || !Array.isArray(serials)) throw invalid('lists no nodes or no serials');
  return {
    domain: read(() => parseTrustDomain(domain)),
    sequence: numberOf(payload, 'sequence'),
    thisUpdate: numberOf(payload, 'this_update'),
    nextUpdate: numberOf(payload, 'next_update'),
    nodes: nodes.map(nodeOf),
    serials: serials.map(serialOf),
    serialsOmitted: numberOf(payload, 'serials_omitted'),
  };
}

function nodeOf(value: JsonValue): DeniedNode {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid('has a node that is no object');
  const { id } = value;
  if (typeof id !== 'string') throw invalid('has a node without an id');
  return {
    id: read(() => parseSpiffeId(id)),
    issuedBefore: numberOf(value, 'issued_before'),
    until: numberOf(value, 'until'),
  };
}

function serialOf(value: JsonValue): string {
  if (typeof value !== 'string' || !/^[0-9a-f]{2,40}$/.test(value))
    throw invalid('has a serial that is not hex');
  return value;
}

function numberOf(object: JsonObject, name: string): number {
  const value = object[name];
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw invalid(`has no number as ${name}`);
  return value;
}

function read<T>(task: () => T): T {
  try {
    return task();
  } catch (cause) {
    throw new TouchmarkError(
      'deny_feed_invalid',
      `the deny feed names something unusable: ${messageOf(cause)}`,
      { cause },
    );
  }
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function iso(unixSeconds: number): string {
  return new Date(unixSeconds * 1000).toISOString();
}

function invalid(why: string): TouchmarkError {
  return new TouchmarkError('deny_feed_invalid', `the deny feed ${why}`);
}

function untrusted(why: string): TouchmarkError {
  return new TouchmarkError('deny_feed_untrusted', `the deny feed ${why}`);
}
