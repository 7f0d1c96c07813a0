/** The endorsement keys that a Hello shows, judged one by one before anything is made with them. */

import type { Hello, HelloEndorsementKey } from '../../attest/messages.js';
import type { TpmAttestationConfig } from '../../config/server-config.js';
import { messageOf, TouchmarkError } from '../../errors.js';
import type { AnchorSet } from '../../tpm/anchors.js';
import { verifyEkCertificate } from '../../tpm/ek-trust.js';
import { checkEndorsementKey } from '../../tpm/endorsement-key.js';
import { parsePublic, type TpmPublic } from '../../tpm/public.js';
import { ekHash } from '../../tpm/spki.js';
import { describeName } from '../../x509/name.js';
import type { EkStanding, Enrolment } from '../hosts/enrol.js';
import type { HostEk } from '../model.js';

/** A key that may take part: a credential is made for `public`, and for no other bytes. */
export interface AcceptedEk {
  readonly public: TpmPublic;
  readonly record: HostEk;
  /** Whether its certificate was verified; else it takes part because an operator named it, or since before. */
  readonly certified: boolean;
}

export interface KeyRules {
  readonly anchors: AnchorSet;
  /** `warn` records as a deviation that a certificate has run out, `accept` does not, and `reject` lets no such key take part. */
  readonly expired: TpmAttestationConfig['expiredCertificates'];
  readonly enrolment: Pick<Enrolment, 'standing'>;
  /** Unix milliseconds. */
  readonly now: number;
}

/** The code of the deviation of a certificate that has run out, the chain's included. */
export const EXPIRED = 'expired';

/**
 * The keys that may take part. One without a verified certificate does so only if an operator allowed its hash or it belongs
 * to a host already: activation alone proves that somebody holds a key, and a key in software could else be joined to a
 * genuine chip. A certificate of another key refuses everything.
 * @throws TouchmarkError why the only, or the first, key may not take part
 */
export async function acceptedEks(hello: Hello, rules: KeyRules): Promise<AcceptedEk[]> {
  const accepted: AcceptedEk[] = [];
  const seen = new Set<string>();
  let firstReason: TouchmarkError | undefined;
  for (const shown of hello.endorsementKeys) {
    const key = parsePublic(shown.public);
    const template = checkEndorsementKey(key);
    const hash = ekHash(key);
    if (seen.has(hash))
      throw new TouchmarkError('tpm_hello_invalid', `the endorsement key ${hash} is shown twice`);
    seen.add(hash);
    const algorithm =
      template.key.type === 'rsa'
        ? `rsa${template.key.bits}`
        : template.key.curve.replace('-', '').toLowerCase();
    const standing = await rules.enrolment.standing(hash);
    const result = certify(shown, key, hash, algorithm, hello, rules, standing);
    if (result instanceof TouchmarkError) firstReason ??= result;
    else accepted.push(result);
  }
  if (accepted.length > 0) return accepted;
  throw firstReason ?? new TouchmarkError('tpm_hello_invalid', 'no endorsement key is shown');
}

function certify(
  shown: HelloEndorsementKey,
  key: TpmPublic,
  hash: string,
  algorithm: string,
  hello: Hello,
  rules: KeyRules,
  standing: EkStanding,
): AcceptedEk | TouchmarkError {
  const known = standing.hostId !== undefined || standing.allowed !== undefined;
  if (shown.certificate.length === 0) {
    if (known) return { public: key, record: uncertified(hash, algorithm), certified: false };
    const message = `the endorsement key ${hash} has no certificate and is not allowed by its hash`;
    return new TouchmarkError('enrolment_refused', message);
  }
  try {
    const record = certifiedRecord(shown, key, hash, algorithm, hello, rules, standing.hostId !== undefined);
    return { public: key, record, certified: true };
  } catch (error) {
    if (!(error instanceof TouchmarkError) || error.code === 'ek_certificate_other_key') throw error;
    if (!known || (error.code === 'ek_certificate_validity' && rules.expired === 'reject')) return error;
    // Nothing that such a certificate says is taken over.
    const deviations = [{ code: error.code, message: messageOf(error) }];
    return { public: key, record: { ...uncertified(hash, algorithm), deviations }, certified: false };
  }
}

function certifiedRecord(
  shown: HelloEndorsementKey,
  ek: TpmPublic,
  hash: string,
  algorithm: string,
  hello: Hello,
  { anchors, expired, now }: KeyRules,
  enrolledBefore: boolean,
): HostEk {
  const { certificate } = shown;
  const supplied = hello.chainCertificates;
  const policy = expired === 'reject' ? 'reject' : 'warn';
  const chain = { certificate, ek, supplied, anchors, enrolledBefore };
  const trust = verifyEkCertificate({ ...chain, now, expired: policy });
  const deviations = trust.deviations.filter(({ code }) => expired === 'warn' || code !== EXPIRED);
  return {
    hash,
    algorithm,
    manufacturer: trust.manufacturer,
    model: trust.model,
    firmware: trust.version,
    issuer: issuerOf(trust.certificate.issuer),
    anchor: trust.anchor.name,
    notAfter: trust.notAfter,
    deviations: deviations.map(({ code, message }) => ({ code, message })),
  };
}

function uncertified(hash: string, algorithm: string): HostEk {
  const nothing = {
    manufacturer: '',
    model: '',
    firmware: '',
    issuer: '',
    anchor: '',
    notAfter: 0,
    deviations: [],
  };
  return { hash, algorithm, ...nothing };
}

/** For people: vendors' names are not always well formed, and go onto terminals. */
function issuerOf(name: Uint8Array): string {
  try {
    return describeName(name).replace(/\p{C}/gu, '?').slice(0, 256);
  } catch {
    return '';
  }
}
