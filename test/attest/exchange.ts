import { randomBytes } from 'node:crypto';
import { activationProof } from '../../src/attest/activation.js';
import type { EvidenceInput } from '../../src/attest/evidence.js';
import type { Hello } from '../../src/attest/messages.js';
import {
  attestationKeyUnique,
  quoteExtraData,
  type TranscriptParts,
  transcript,
} from '../../src/attest/transcript.js';
import type { EkTemplateName } from '../../src/tpm/ek-templates.js';
import { makeCredential } from '../../src/tpm/make-credential.js';
import { nameOf } from '../../src/tpm/name.js';
import type { PcrSelection } from '../../src/tpm/pcr.js';
import { parsePublic } from '../../src/tpm/public.js';
import type { SoftwareTpm } from '../fakes/software-tpm.js';

export const unique = attestationKeyUnique('example.org', 0);

export interface ExchangeOptions {
  eks?: readonly EkTemplateName[];
  selection?: PcrSelection;
  /** What the agent binds its answers to, where that is not what the server saw. */
  agentSaw?: Partial<TranscriptParts>;
  /** The selection that the agent quotes. */
  quoted?: PcrSelection;
  nonceQuoted?: Uint8Array;
}

/** One whole attestation between an honest server and this chip, up to what the server is about to verify. */
export async function exchange(
  chip: SoftwareTpm,
  options: ExchangeOptions = {},
): Promise<EvidenceInput & { hello: Hello }> {
  const { eks = ['p256-l2'], selection = { bank: 'sha256', pcrs: [0, 1, 7] } } = options;
  const shown = await chip.endorsementKeys();
  const akPublic = await chip.attestationKey(unique);
  const hello: Hello = {
    akPublic,
    endorsementKeys: shown.map((key) => ({
      public: key.public,
      certificate: key.certificate ?? new Uint8Array(),
    })),
    chainCertificates: await chip.chainCertificates(),
    banks: ['sha256'],
    agentVersion: '0.1.0',
    features: [],
  };
  const ak = parsePublic(akPublic);
  const credentials = eks.map(() => randomBytes(32));
  const nonce = randomBytes(32);
  const parts: TranscriptParts = {
    trustDomain: 'example.org',
    serverLeaf: Buffer.from('the leaf of this connection'),
    payload: Buffer.concat([akPublic, ...shown.map((key) => key.public)]),
    csr: Buffer.from('the request for the node key'),
    challenge: Buffer.from('the challenge as it was sent'),
  };
  const activated = await activateAll(chip, eks, credentials);
  const agentHash = transcript({ ...parts, ...options.agentSaw });
  const extraData = quoteExtraData(options.nonceQuoted ?? nonce, agentHash);
  const quoted = options.quoted ?? selection;
  const { attest, signature } = await chip.quote(unique, extraData, quoted);
  const values = await chip.pcrRead(quoted);
  const pcrValues = [...values].map(([index, value]) => ({ index, value })).sort((a, b) => a.index - b.index);
  return {
    hello,
    challenge: { ak, credentials, nonce, selection },
    evidence: { activationProof: activationProof(activated, agentHash), attest, signature, pcrValues },
    transcript: parts,
  };
}

async function activateAll(
  chip: SoftwareTpm,
  eks: readonly EkTemplateName[],
  credentials: readonly Uint8Array[],
): Promise<Uint8Array[]> {
  const akName = nameOf(chip.ak(unique).public);
  return Promise.all(
    eks.map((template, at) => {
      const credential = credentials[at] ?? new Uint8Array();
      const made = makeCredential({ ek: chip.ek(template).public, akName, credential });
      return chip.activateCredential(template, unique, made.credentialBlob, made.encryptedSecret);
    }),
  );
}
