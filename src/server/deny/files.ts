import { writePem } from '../../x509/pem.js';
import type { Publication } from './publisher.js';

/** All lists in one, for software that takes one file. */
export function crlsPem({ crls }: Publication): Buffer {
  return Buffer.from(crls.map(({ der }) => writePem('X509 CRL', der)).join(''));
}

/** As they lie on a web server. */
export function publicationFiles(publication: Publication): { file: string; bytes: Uint8Array }[] {
  return [
    { file: 'deny-feed.jws', bytes: Buffer.from(publication.feed) },
    { file: 'all.pem', bytes: crlsPem(publication) },
    ...publication.crls.map(({ authorityId, der }) => ({ file: `${authorityId}.crl`, bytes: der })),
  ];
}
