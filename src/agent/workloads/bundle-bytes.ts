import type { Bundle } from '../../spiffe/bundle.js';
import { bundleToDer } from '../../spiffe/bundle-certificates.js';
import { writeJwtKeySet } from '../../spiffe/bundle-document.js';

/** A bundle as X.509 streams carry it, written once for all of them: concatenated DER. */
export const x509BundleOf = once((bundle) => bundleToDer(bundle));

/** A bundle as JWT streams carry it: a JWK Set in JSON. */
export const jwtKeySetOf = once((bundle) => new TextEncoder().encode(writeJwtKeySet(bundle)));

/** Bundles are replaced, never altered. */
function once(write: (bundle: Bundle) => Uint8Array): (bundle: Bundle) => Uint8Array {
  const written = new WeakMap<Bundle, Uint8Array>();
  return (bundle) => {
    const known = written.get(bundle);
    if (known !== undefined) return known;
    const bytes = write(bundle);
    written.set(bundle, bytes);
    return bytes;
  };
}
