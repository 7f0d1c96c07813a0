import { messageOf, TouchmarkError } from '../../errors.js';
import type { Deviation } from '../../tpm/certificate.js';
import { type EkCertificate, readEkCertificate } from '../../tpm/ek-certificate.js';
import { type EkTrust, verifyEkCertificate } from '../../tpm/ek-trust.js';
import { describeKey } from '../../tpm/spki.js';
import { fields, printable } from '../output.js';
import { readInput } from '../read-file.js';
import type { Verb, VerbContext } from '../verb.js';
import { anchorFlags, anchorsOf } from './anchors.js';
import { certificatesOf } from './read-der.js';

interface EkReport {
  readonly ekHash: string;
  readonly key: string;
  readonly manufacturer: string;
  readonly model: string;
  readonly firmware: string;
  readonly notAfter: string;
  readonly anchor: string;
  readonly assurance: string;
  /** Why it chains to no anchor. */
  readonly problem: string;
  readonly deviations: readonly Deviation[];
}

export const inspectEk: Verb = {
  name: 'inspect ek',
  summary: 'Look at an endorsement-key certificate: key, vendor, anchor, deviations.',
  example: 'touchmark inspect ek ek.der -output json',
  flags: anchorFlags,
  args: [
    {
      name: 'FILE',
      doc: 'The certificate, PEM or DER; what follows it in the file may serve as intermediates.',
    },
  ],
  run: async (context) => {
    const report = await reportOf(context);
    context.out.result({ pretty: text(report), json: report });
    return report.problem === '' ? 0 : 1;
  },
};

async function reportOf({ args, flags }: VerbContext): Promise<EkReport> {
  const [certificate, ...supplied] = certificatesOf(await readInput(args[0] ?? ''));
  if (!certificate) throw new TouchmarkError('file_unreadable', `${args[0]} holds no certificate`);
  const read = readEkCertificate(certificate);
  const anchors = await anchorsOf(flags);
  try {
    const input = { certificate, supplied, anchors, now: Date.now(), expired: 'warn' } as const;
    return describe(verifyEkCertificate(input), '');
  } catch (error) {
    if (!(error instanceof TouchmarkError)) throw error;
    return describe(read, messageOf(error));
  }
}

function describe(ek: EkCertificate | EkTrust, problem: string): EkReport {
  return {
    ekHash: ek.spkiHash,
    key: describeKey(ek.key),
    manufacturer: ek.manufacturer,
    model: ek.model,
    firmware: ek.version,
    notAfter: Number.isFinite(ek.notAfter) ? new Date(ek.notAfter).toISOString() : 'never',
    anchor: 'anchor' in ek ? ek.anchor.name : '',
    assurance: 'assurance' in ek ? ek.assurance : '',
    problem,
    deviations: ek.deviations,
  };
}

function text(report: EkReport): string {
  return fields([
    ['EK hash', report.ekHash],
    ['Key', report.key],
    ['Vendor', printable(report.manufacturer)],
    ['Model', printable(report.model)],
    ['Firmware', printable(report.firmware)],
    ['Ends', report.notAfter],
    [
      'Anchor',
      report.anchor === '' ? `none: ${printable(report.problem)}` : `${report.anchor} (${report.assurance})`,
    ],
    ...report.deviations.map(({ code, message }) => ['Deviation', `${code}: ${printable(message)}`] as const),
  ]);
}
