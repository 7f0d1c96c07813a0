import { TouchmarkError } from '../errors.js';
import { readPemCertificates } from '../x509/pem.js';
import { readTpmCertificate, type TpmCertificate } from './certificate.js';
import { keyIdsOf } from './certificate-extensions.js';

/** `virtual`: trust in this chip is trust in a hypervisor, as with swtpm. Policy sees it. */
export type Assurance = 'hardware' | 'virtual';

/** A key whose word is taken. Anchors need not be self-signed: what they are signed by is not looked at. */
export interface Anchor {
  certificate: TpmCertificate;
  /** For people: what the vendor calls it. */
  name: string;
  vendor: string;
  assurance: Assurance;
  /** Whether chains to this anchor may hold SHA-1 signatures. Never by default. */
  sha1: boolean;
}

/** Anchors and what is known between them and chips, found by name or key identifier. Never changed: a merge makes a new one. */
export interface AnchorSet {
  /** What this set says of itself, such as `2026-04-11`; joined by `+` after a merge. */
  version: string;
  anchors: readonly Anchor[];
  intermediates: readonly TpmCertificate[];
  anchorsFor(child: TpmCertificate): readonly Anchor[];
  intermediatesFor(child: TpmCertificate): readonly TpmCertificate[];
}

const MAX_CERTIFICATES = 4096;

export function makeAnchorSet(
  version: string,
  anchors: readonly Anchor[],
  intermediates: readonly TpmCertificate[],
): AnchorSet {
  if (anchors.length + intermediates.length > MAX_CERTIFICATES) {
    const message = `there are ${anchors.length + intermediates.length} certificates, at most ${MAX_CERTIFICATES} are held`;
    throw new TouchmarkError('anchors_invalid', message);
  }
  const uniqueAnchors = uniqueBy(anchors, ({ certificate }) => certificate.fingerprint);
  const uniqueIntermediates = uniqueBy(intermediates, ({ fingerprint }) => fingerprint);
  return {
    version,
    anchors: uniqueAnchors,
    intermediates: uniqueIntermediates,
    anchorsFor: issuerIndex(uniqueAnchors, ({ certificate }) => certificate),
    intermediatesFor: issuerIndex(uniqueIntermediates, (certificate) => certificate),
  };
}

/** What an operator adds to the shipped set, or uses in its stead. Of two entries for one certificate the later one counts. */
export function mergeAnchors(...sets: readonly AnchorSet[]): AnchorSet {
  const version = sets.map((set) => set.version).join('+');
  const anchors = sets.flatMap((set) => set.anchors);
  return makeAnchorSet(
    version,
    anchors,
    sets.flatMap((set) => set.intermediates),
  );
}

export interface OperatorAnchors {
  /** PEM: each of these is believed. */
  anchors: string;
  /** PEM: these only lead from chips to anchors. */
  intermediates?: string;
  /** Shown in `host show` and `inspect ek`. */
  name: string;
  assurance: Assurance;
  sha1?: boolean;
}

/** An operator's own PEM files as a set. Does NOT check dates: the policy for expired certificates does, at use. */
export function operatorAnchors({
  anchors,
  intermediates,
  name,
  assurance,
  sha1,
}: OperatorAnchors): AnchorSet {
  const rows = readAll(anchors).map((certificate) => ({
    certificate,
    name,
    vendor: name,
    assurance,
    sha1: sha1 ?? false,
  }));
  return makeAnchorSet(name, rows, intermediates === undefined ? [] : readAll(intermediates));
}

/** Reads PEM certificates for a set, naming the one that cannot be read. */
export function readAll(pem: string): TpmCertificate[] {
  return readPemCertificates(pem).map((der, at) => {
    try {
      return readTpmCertificate(der);
    } catch (cause) {
      throw new TouchmarkError('anchors_invalid', `certificate ${at + 1} of the anchors cannot be read`, {
        cause,
      });
    }
  });
}

/** Finds issuers by name, byte for byte, or by key identifier: hints only, the signature decides. */
function issuerIndex<Row>(
  rows: readonly Row[],
  certificateOf: (row: Row) => TpmCertificate,
): (child: TpmCertificate) => readonly Row[] {
  const bySubject = new Map<string, Row[]>();
  const byKeyId = new Map<string, Row[]>();
  for (const row of rows) {
    const certificate = certificateOf(row);
    append(bySubject, nameKey(certificate.subject), row);
    const { subject } = keyIdsOf(certificate);
    if (subject) append(byKeyId, subject, row);
  }
  return (child) => {
    const { authority } = keyIdsOf(child);
    const byId = authority === undefined ? [] : (byKeyId.get(authority) ?? []);
    return [...new Set([...byId, ...(bySubject.get(nameKey(child.issuer)) ?? [])])];
  };
}

function nameKey(name: Uint8Array): string {
  return Buffer.from(name).toString('latin1');
}

function append<Row>(map: Map<string, Row[]>, key: string, row: Row): void {
  const rows = map.get(key);
  if (rows) rows.push(row);
  else map.set(key, [row]);
}

function uniqueBy<Row>(rows: readonly Row[], key: (row: Row) => string): Row[] {
  return [...new Map(rows.map((row) => [key(row), row])).values()];
}
