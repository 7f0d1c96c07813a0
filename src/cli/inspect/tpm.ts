import { messageOf } from '../../errors.js';
import { openTpm } from '../../host/open-tpm.js';
import { readEkCertificate } from '../../tpm/ek-certificate.js';
import { parsePublic } from '../../tpm/public.js';
import { ekHash } from '../../tpm/spki.js';
import { daemonLog } from '../daemon-log.js';
import { fields, printable } from '../output.js';
import type { Verb } from '../verb.js';

export const inspectTpm: Verb = {
  name: 'inspect tpm',
  summary: 'Look at the TPM of this host: banks, endorsement keys and certificates, lockout, handles in use.',
  example: 'sudo touchmark inspect tpm',
  flags: [
    {
      name: 'tcti',
      type: 'string',
      doc: 'How the TPM is reached, in the words of tpm2-tss.',
      default: 'device:/dev/tpmrm0',
    },
  ],
  run: async ({ flags, out, environment }) => {
    const log = daemonLog({ level: 'warn', format: 'text' }, environment);
    await using tpm = await openTpm({ tcti: flags.string('tcti'), log });
    const facts = await tpm.describe();
    const keys = (await tpm.endorsementKeys()).map(({ template, public: key, certificate }) => ({
      template,
      ekHash: ekHash(parsePublic(key)),
      ...chipOf(certificate),
    }));
    const chain = (await tpm.chainCertificates()).length;
    const banks = facts.banks.map(({ bank, pcrs }) => `${bank} (${pcrs.length} PCRs)`);
    out.result({
      pretty: fields([
        ['Vendor', printable(`${facts.manufacturer} ${facts.vendorString}`)],
        ['Firmware', facts.firmwareVersion],
        ['Family', `${facts.family} revision ${facts.revision / 100}`],
        ['Banks', banks.join(', ')],
        ['Lockout counter', String(facts.lockoutCounter)],
        [
          'Handles',
          Object.entries(facts.loadedHandles)
            .map(([name, value]) => `${name} ${value}`)
            .join(', '),
        ],
        ...keys.map((row) => ['EK', `${row.template} ${row.ekHash}; ${row.certificate}`] as const),
        ['Chain certificates', String(chain)],
      ]),
      json: { ...facts, endorsementKeys: keys, chainCertificates: chain },
    });
    return 0;
  },
};

function chipOf(certificate: Uint8Array | undefined): { certificate: string } {
  if (!certificate) return { certificate: 'no certificate in the chip' };
  try {
    const { manufacturer, model, version } = readEkCertificate(certificate);
    return { certificate: printable(`certified by ${manufacturer}, model ${model}, firmware ${version}`) };
  } catch (error) {
    return { certificate: `certificate cannot be read: ${messageOf(error)}` };
  }
}
