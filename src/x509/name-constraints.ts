import { TouchmarkError } from '../errors.js';
import { atEnd, type DerReader, enter, enterWhole, peekTag, readElement, tag } from './der.js';
import { oidHex } from './oid.js';
import type { Certificate } from './read-certificate.js';

interface Constraints {
  readonly permitted: readonly Subtree[];
  readonly excluded: readonly Subtree[];
}

interface Subtree {
  /** Tag of the GeneralName. */
  readonly kind: number;
  /** For URI and DNS: the host, in lower case. */
  readonly base: string;
}

/** Names times constraints is what an unknown peer can make us compare. */
const MAX_SUBTREES = 64;

const kinds = { email: 0x81, dns: 0x82, directory: 0xa4, uri: 0x86 } as const;

/**
 * Checks the names of a certificate against the name constraints of an authority above it (RFC 5280 section 4.2.1.10).
 * URI hosts and DNS names are judged; where a constraint is of another kind and the certificate has a name of that kind,
 * or where the constraint cannot be read, the answer is no.
 * @throws TouchmarkError `chain_untrusted`
 */
export function checkNameConstraints(constraints: Uint8Array, certificate: Certificate): void {
  const all = readConstraints(constraints);
  const forUris = only(kinds.uri, all);
  const forDns = only(kinds.dns, all);
  for (const uri of certificate.uris) checkName(kinds.uri, uriHost(uri), uri, forUris);
  for (const name of certificate.dnsNames) checkName(kinds.dns, name.toLowerCase(), name, forDns);
  for (const { kind } of [...all.permitted, ...all.excluded]) {
    if (kind === kinds.uri || kind === kinds.dns) continue;
    if (hasNameOfKind(certificate, kind)) {
      throw untrusted(`a name constraint of kind 0x${kind.toString(16)} cannot be judged`);
    }
  }
}

function only(wanted: number, { permitted, excluded }: Constraints): Constraints {
  const ofKind = ({ kind }: Subtree) => kind === wanted;
  return { permitted: permitted.filter(ofKind), excluded: excluded.filter(ofKind) };
}

function checkName(kind: number, host: string | undefined, shown: string, limits: Constraints): void {
  const { permitted, excluded } = limits;
  if (permitted.length + excluded.length === 0) return;
  if (host === undefined)
    throw untrusted(`${JSON.stringify(shown)} has no host to hold against a name constraint`);
  if (excluded.some(({ base }) => matches(kind, host, base))) {
    throw untrusted(`${JSON.stringify(shown)} is excluded by a name constraint`);
  }
  if (permitted.length > 0 && !permitted.some(({ base }) => matches(kind, host, base))) {
    throw untrusted(`${JSON.stringify(shown)} is not permitted by a name constraint`);
  }
}

/** A DNS constraint covers the name and all below it; a URI constraint covers one host, or with a leading dot all below it. */
function matches(kind: number, host: string, base: string): boolean {
  if (base === '') return true;
  if (kind === kinds.uri) return base.startsWith('.') ? host.endsWith(base) : host === base;
  const bare = base.startsWith('.') ? base.slice(1) : base;
  return host === bare || host.endsWith(`.${bare}`);
}

function readConstraints(value: Uint8Array): Constraints {
  const from = enterWhole(value, tag.sequence, 'the name constraints');
  const permitted = readSubtrees(from, tag.constructed(0));
  const excluded = readSubtrees(from, tag.constructed(1));
  if (!atEnd(from) || permitted.length + excluded.length === 0)
    throw untrusted('the name constraints are not well formed');
  return { permitted, excluded };
}

function readSubtrees(from: DerReader, listTag: number): Subtree[] {
  if (peekTag(from) !== listTag) return [];
  const list = enter(from, listTag, 'subtrees');
  const subtrees: Subtree[] = [];
  while (!atEnd(list)) {
    if (subtrees.length === MAX_SUBTREES)
      throw untrusted(`there are more than ${MAX_SUBTREES} name constraints`);
    const subtree = enter(list, tag.sequence, 'a subtree');
    const name = readElement(subtree);
    if (!atEnd(subtree)) throw untrusted('a name constraint has a minimum or maximum, which nobody may use');
    subtrees.push({ kind: name.tag, base: readBase(name.tag, name.content) });
  }
  return subtrees;
}

function readBase(kind: number, content: Uint8Array): string {
  if (kind !== kinds.uri && kind !== kinds.dns) return '';
  const base = Buffer.from(content).toString('latin1').toLowerCase();
  if (!/^[a-z0-9._-]*$/.test(base))
    throw untrusted(`the name constraint ${JSON.stringify(base)} is not a host`);
  return base;
}

function uriHost(uri: string): string | undefined {
  const [, authority = ''] = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/([^/?#]*)/.exec(uri) ?? [];
  const host = authority.slice(authority.lastIndexOf('@') + 1).replace(/:\d*$/, '');
  return /^[A-Za-z0-9._-]+$/.test(host) ? host.toLowerCase() : undefined;
}

function hasNameOfKind(certificate: Certificate, kind: number): boolean {
  const inSubject = kind === kinds.directory && certificate.subjectDer.length > 2;
  const subjectHex = kind === kinds.email ? Buffer.from(certificate.subjectDer).toString('hex') : '';
  return inSubject || subjectHex.includes(oidHex.emailAddress) || certificate.otherKinds.includes(kind);
}

function untrusted(why: string): TouchmarkError {
  return new TouchmarkError('chain_untrusted', why);
}
