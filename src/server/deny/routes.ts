import type { Routes, WebContent } from '../web/routes.js';
import { crlsPem } from './files.js';
import type { DenyPublisher, Publication } from './publisher.js';

/** Seconds for which a cache may answer with what it has: how late a withdrawal may come to those behind it. */
const MAX_AGE = 30;

/** `/deny-feed`, `/crl/AUTHORITY.crl`, and `/crl/all.pem` for software that takes one file. */
export function denyRoutes(routes: Routes, publisher: DenyPublisher): void {
  const bodies = new WeakMap<Publication, { feed: Uint8Array; pem: Uint8Array }>();
  const bodiesOf = (publication: Publication) => {
    const made = bodies.get(publication) ?? {
      feed: Buffer.from(publication.feed),
      pem: crlsPem(publication),
    };
    bodies.set(publication, made);
    return made;
  };
  const content = (type: string, body: Uint8Array): WebContent => ({ type, body, maxAge: MAX_AGE });
  routes.add('/deny-feed', () => content('application/jose', bodiesOf(publisher.current()).feed));
  routes.add('/crl/', (name) => {
    const publication = publisher.current();
    if (name === 'all.pem') return content('application/x-pem-file', bodiesOf(publication).pem);
    const crl = publication.crls.find(({ authorityId }) => name === `${authorityId}.crl`);
    return crl && content('application/pkix-crl', crl.der);
  });
}
