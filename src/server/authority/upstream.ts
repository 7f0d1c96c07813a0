import { TouchmarkError } from '../../errors.js';
import { readCertificate } from '../../x509/read-certificate.js';
import type { AuthorityRecord } from '../model.js';
import type { UpstreamAuthority } from '../upstream-authorities/contract.js';
import type { AuthorityBook } from './book.js';
import { subjectKeyId } from './x509.js';

/** Marks the root above an old authority, so that everything below it is replaced. */
export async function taintUpstream(
  book: AuthorityBook,
  upstream: UpstreamAuthority | undefined,
  id: string,
): Promise<void> {
  const below = oldBelow(book, upstream, id.toLowerCase());
  if (below.every(({ tainted }) => tainted)) {
    throw new TouchmarkError(
      'authority_tainted',
      `the upstream authority is tainted already: ${id.toLowerCase()}`,
    );
  }
  await book.change({ put: below.map((record) => ({ ...record, tainted: true })) });
}

/** Takes the root above an old authority out of the bundle, wherever a record still names it. */
export async function revokeUpstream(
  book: AuthorityBook,
  upstream: UpstreamAuthority | undefined,
  id: string,
): Promise<void> {
  const below = oldBelow(book, upstream, id.toLowerCase());
  if (!below.every(({ tainted }) => tainted)) {
    throw new TouchmarkError(
      'authority_not_tainted',
      `an upstream authority that is not tainted cannot be revoked: ${id.toLowerCase()}`,
    );
  }
  const others = book.records('x509').filter((record) => !below.includes(record) && namesBesides(record, id));
  const put = others.map((record) => ({
    ...record,
    otherRoots: (record.otherRoots ?? []).filter((der) => rootId(der) !== id.toLowerCase()),
  }));
  await book.change({ drop: below, put });
}

function oldBelow(
  book: AuthorityBook,
  upstream: UpstreamAuthority | undefined,
  id: string,
): readonly AuthorityRecord[] {
  if (upstream === undefined) {
    throw new TouchmarkError('upstream_authority_missing', 'no upstream authority is configured');
  }
  if (id === '') throw new TouchmarkError('authority_id_missing', 'no subject key ID was given');
  const { active, prepared } = book.state('x509');
  if (active?.upstreamAuthorityId === id) {
    throw new TouchmarkError('authority_in_use', `the upstream authority signs the active authority: ${id}`);
  }
  if (prepared?.upstreamAuthorityId === id) {
    throw new TouchmarkError(
      'authority_not_old',
      `the upstream authority signs the prepared authority: ${id}`,
    );
  }
  const below = book.records('x509').filter(({ upstreamAuthorityId }) => upstreamAuthorityId === id);
  if (below.length === 0) {
    throw new TouchmarkError(
      'authority_unknown',
      `no old authority is signed by an upstream authority ${JSON.stringify(id.slice(0, 100))}`,
    );
  }
  return below;
}

function namesBesides(record: AuthorityRecord, id: string): boolean {
  return (record.otherRoots ?? []).some((der) => rootId(der) === id.toLowerCase());
}

function rootId(der: string): string {
  return subjectKeyId(readCertificate(Buffer.from(der, 'base64')));
}
