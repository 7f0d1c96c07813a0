import { messageOf } from '../../errors.js';
import { readEkCertificate } from '../../tpm/ek-certificate.js';
import { parsePublic } from '../../tpm/public.js';
import { ekHash } from '../../tpm/spki.js';
import type { EndorsementKey, TpmDevice, TpmFacts } from '../tpm.js';
import { type DoctorFinding, found } from './findings.js';
import type { Subject } from './subject.js';

/** Any key of our own kind: this one is no node's. */
const doctorUnique = Buffer.from('touchmark-doctor'.padEnd(32, '.'));

/** The chip itself: maker, banks, endorsement keys with their certificates, and whether it attests. */
export async function examineChip(
  { machine }: Subject,
  tpm: TpmDevice | undefined,
): Promise<DoctorFinding[]> {
  if (tpm === undefined) return [];
  const facts = await tpm.describe();
  const findings = [chip(facts), ...banks(facts), ...trouble(facts)];
  try {
    for (const key of await tpm.endorsementKeys()) findings.push(...certificate(key, machine.now));
    findings.push(await attests(tpm, facts));
  } catch (error) {
    findings.push(found('tpm_key_failed', messageOf(error), remedyOf(error)));
  }
  return findings;
}

function chip({ manufacturer, vendorString, family, revision, firmwareVersion }: TpmFacts): DoctorFinding {
  const made = `${manufacturer} ${vendorString}`.trim();
  const message = `a TPM ${family} by ${made}, revision ${revision / 100}, firmware ${firmwareVersion}`;
  return found('tpm_chip', message);
}

function banks({ banks: allocated }: TpmFacts): DoctorFinding[] {
  const shown = allocated.map(({ bank, pcrs }) => `${bank} with ${pcrs.length} PCRs`).join(', ');
  const usable = allocated.some(({ bank, pcrs }) => bank !== 'sha1' && pcrs.length >= 16);
  const usual = allocated.some(({ bank, pcrs }) => bank === 'sha256' && pcrs.length >= 16);
  if (usual) return [found('tpm_bank', `allocated are ${shown}`)];
  if (usable)
    return [found('tpm_bank_other', `allocated are ${shown}, and servers ask for sha256 by default`)];
  return [found('tpm_bank_missing', `allocated is ${shown === '' ? 'nothing' : shown}, SHA-1 is not enough`)];
}

function trouble({ lockoutCounter, loadedHandles }: TpmFacts): DoctorFinding[] {
  const findings: DoctorFinding[] = [];
  if (lockoutCounter > 0)
    findings.push(found('tpm_lockout', `${lockoutCounter} failed authorisations count towards the lockout`));
  const { transient, loadedSessions } = loadedHandles;
  if (transient + loadedSessions > 0) {
    const message = `${transient} objects and ${loadedSessions} sessions of others are loaded in the chip`;
    findings.push(found('tpm_handles_left', message));
  }
  return findings;
}

function certificate(
  { template, public: key, certificate: der }: EndorsementKey,
  now: number,
): DoctorFinding[] {
  const hash = ekHash(parsePublic(key));
  if (der === undefined)
    return [found('ek_certificate_missing', `the chip holds no certificate for its ${template} key ${hash}`)];
  try {
    const { manufacturer, model, notAfter, deviations } = readEkCertificate(der);
    const of = `the certificate of the ${template} key ${hash}`;
    return [
      found('ek_certificate', `${of} names ${manufacturer}, model ${model}, and is for that key`),
      ...(notAfter < now
        ? [found('ek_certificate_ended', `${of} ended on ${new Date(notAfter).toISOString().slice(0, 10)}`)]
        : []),
      ...deviations.map(({ message }) => found('ek_certificate_odd', `${of}: ${message}`)),
    ];
  } catch (error) {
    const message = `the certificate of the ${template} key ${hash} cannot be read: ${messageOf(error)}`;
    return [found('ek_certificate_unreadable', message)];
  }
}

async function attests(tpm: TpmDevice, { banks: allocated }: TpmFacts): Promise<DoctorFinding> {
  const bank = allocated.find(({ bank: name }) => name === 'sha256')?.bank ?? allocated[0]?.bank ?? 'sha256';
  await tpm.attestationKey(doctorUnique);
  const began = performance.now();
  await tpm.quote(doctorUnique, new Uint8Array(32), { bank, pcrs: [0, 7, 10] });
  const ms = Math.round(performance.now() - began);
  return found('tpm_quotes', `the chip makes an attestation key and quotes in ${ms} ms`);
}

export function remedyOf(error: unknown): string | undefined {
  return error instanceof Error && 'remedy' in error ? String(error.remedy) : undefined;
}
