import { messageOf, TouchmarkError } from '../errors.js';
import type { Bundle } from './bundle.js';
import { bundleFromJson } from './bundle-document.js';
import { parseTrustDomain, type TrustDomain } from './id.js';
import { isJsonObject, type JsonObject, parseJsonObject } from './json.js';

const MAX_MAP_BYTES = 16 * 1024 * 1024;

/**
 * Reads a bundle map (Trust Domain and Bundle section 5): the whole state at once, so one bad bundle or a repeated name refuses
 * all of it. Hints inside are dropped: they must not change how often the map itself is fetched.
 * @throws TouchmarkError `bundle_invalid`
 */
export function readBundleMap(document: string | Uint8Array): ReadonlyMap<TrustDomain, Bundle> {
  const { trust_domains: domains } = parse(document);
  if (!isJsonObject(domains))
    throw new TouchmarkError('bundle_invalid', 'the bundle map has no "trust_domains"');
  return new Map(
    Object.entries(domains).map(([name, value]) => {
      const domain = readDomain(name);
      if (!isJsonObject(value))
        throw new TouchmarkError('bundle_invalid', `the bundle of ${domain} is not an object`);
      const { spiffe_refresh_hint: _hint, ...bundle } = value;
      return [domain, bundleFromJson(domain, bundle)];
    }),
  );
}

function parse(document: string | Uint8Array): JsonObject {
  try {
    return parseJsonObject(document, { maxLength: MAX_MAP_BYTES, bigIntegers: true });
  } catch (cause) {
    throw new TouchmarkError('bundle_invalid', `the bundle map cannot be read: ${messageOf(cause)}`, {
      cause,
    });
  }
}

function readDomain(name: string): TrustDomain {
  try {
    return parseTrustDomain(name);
  } catch (cause) {
    throw new TouchmarkError('bundle_invalid', `the bundle map has a bad name: ${messageOf(cause)}`, {
      cause,
    });
  }
}
