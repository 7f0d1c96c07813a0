import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { vendorUrls } from '../../src/tpm/vendor-url.js';
import { plainKeyFrom } from '../fakes/ek-authority.js';
import { haveVectors, readVector } from '../support/vectors.js';

test("Intel's and AMD's addresses of a firmware TPM's certificate", (t) => {
  if (!haveVectors(t)) return;
  const urlOf = (file: string, vendor: string): string | undefined =>
    vendorUrls(plainKeyFrom(createPublicKey(readVector(file)))).find((one) => one.vendor === vendor)?.url;
  const intel = 'https://ekop.intel.com/ekcertservice/WVEG2rRwkQ7m3RpXlUphgo6Y2HLxl18h6ZZkkOAdnBE%3D';
  assert.equal(urlOf('ek/intel_ek_pub.pem', 'INTC'), intel);
  assert.equal(
    urlOf('ek/amd_ek_pub.pem', 'AMD'),
    'https://ftpm.amd.com/pki/aia/D027B3CE6A9B6B56846D2B9935884A88',
  );
});

test("an elliptic-curve key has AMD's address alone", () => {
  const urls = vendorUrls(plainKeyFrom(generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey));
  assert.deepEqual(
    urls.map(({ vendor, format }) => [vendor, format]),
    [['AMD', 'der']],
  );
  assert.match(urls[0]?.url ?? '', /^https:\/\/ftpm\.amd\.com\/pki\/aia\/[0-9A-F]{32}$/);
});
