import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { activationProof } from '../../attest/activation.js';
import { checkChallenge } from '../../attest/check-messages.js';
import type { Challenge, ChallengeCredential, Hello } from '../../attest/messages.js';
import { attestationKeyUnique, quoteExtraData, transcript } from '../../attest/transcript.js';
import { messageOf, TouchmarkError } from '../../errors.js';
import type { EndorsementKey, PcrBank, PcrSelection, Quote, TpmDevice } from '../../host/tpm.js';
import { parseQuote } from '../../tpm/attest.js';
import { nameOf } from '../../tpm/name.js';
import { pcrDigest } from '../../tpm/pcr.js';
import { parsePublic } from '../../tpm/public.js';
import { ChallengeSchema, EvidenceSchema, HelloSchema } from '../../wire/gen/touchmark/attest/v1/tpm_pb.js';
import type { Answer, Attempt, NodeAttestor, NodeAttestorDeps } from './contract.js';

interface TpmSettings {
  readonly tcti: string;
  readonly endorsementAuthFile: string;
  readonly akGeneration: number;
}

/**
 * `tpm`: the chip proves that it holds its endorsement keys and a restricted attestation key, and quotes over everything
 * that was said on this connection (docs/attestation.md). The chip stays open, for it is asked again and again.
 */
export function tpmAttestor(settings: TpmSettings, deps: NodeAttestorDeps): NodeAttestor {
  return new TpmAttestor(settings, deps);
}

class TpmAttestor implements NodeAttestor {
  readonly type = 'tpm';
  readonly reattestable = true;
  readonly #settings: TpmSettings;
  readonly #deps: NodeAttestorDeps;
  readonly #identity: Identity;
  #opened: TpmDevice | undefined;

  constructor(settings: TpmSettings, deps: NodeAttestorDeps) {
    this.#settings = settings;
    this.#deps = deps;
    const { config, agentVersion } = deps;
    const unique = attestationKeyUnique(config.trustDomain, settings.akGeneration);
    this.#identity = { unique, trustDomain: config.trustDomain, agentVersion };
  }

  begin(): Promise<Attempt> {
    return this.#reopening(async () => {
      this.#opened ??= await open(this.#settings, this.#deps);
      const attempt = await beginAttempt(this.#opened, this.#identity);
      const { payload } = attempt;
      return { payload, answer: (...question) => this.#reopening(() => attempt.answer(...question)) };
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closing = this.#opened;
    this.#opened = undefined;
    await closing?.[Symbol.asyncDispose]();
  }

  /** A chip that failed is opened anew for the next attempt. */
  async #reopening<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      await this[Symbol.asyncDispose]().catch((late: unknown) =>
        this.#deps.log.debug('closing the TPM failed', { error: messageOf(late) }),
      );
      throw error;
    }
  }
}

async function open(settings: TpmSettings, deps: NodeAttestorDeps): Promise<TpmDevice> {
  const { tcti, endorsementAuthFile } = settings;
  const what = 'endorsement hierarchy password';
  const auth = endorsementAuthFile === '' ? undefined : await deps.readSecret(endorsementAuthFile, what);
  const log = deps.log.child({ room: 'tpm' });
  return deps.openTpm({
    tcti,
    log,
    ...(auth === undefined ? {} : { endorsementAuth: withoutNewline(auth) }),
  });
}

interface Identity {
  readonly unique: Uint8Array;
  readonly trustDomain: string;
  readonly agentVersion: string;
}

async function beginAttempt(tpm: TpmDevice, identity: Identity): Promise<Attempt> {
  const keys = await tpm.endorsementKeys();
  const hello = await makeHello(tpm, keys, identity);
  const payload = toBinary(HelloSchema, create(HelloSchema, hello));
  return {
    payload,
    async answer(challengeBytes, connection) {
      const challenge = readChallenge(challengeBytes);
      const parts = { ...connection, trustDomain: identity.trustDomain, payload, challenge: challengeBytes };
      return answer(tpm, { keys, challenge, hash: transcript(parts), unique: identity.unique });
    },
  };
}

async function makeHello(
  tpm: TpmDevice,
  keys: readonly EndorsementKey[],
  { unique, agentVersion }: Identity,
): Promise<Hello> {
  const facts = await tpm.describe();
  return {
    akPublic: await tpm.attestationKey(unique),
    endorsementKeys: keys.map((key) => ({
      public: key.public,
      certificate: key.certificate ?? new Uint8Array(),
    })),
    chainCertificates: await tpm.chainCertificates(),
    banks: facts.banks.map(({ bank }) => bank),
    agentVersion,
    features: [],
  };
}

interface Question {
  readonly keys: readonly EndorsementKey[];
  readonly challenge: Challenge;
  readonly hash: Uint8Array;
  readonly unique: Uint8Array;
}

async function answer(tpm: TpmDevice, { keys, challenge, hash, unique }: Question): Promise<Answer> {
  const credentials: Uint8Array[] = [];
  for (const credential of challenge.credentials) {
    const ek = keyFor(keys, credential);
    const { credentialBlob, encryptedSecret } = credential;
    credentials.push(await tpm.activateCredential(ek.template, unique, credentialBlob, encryptedSecret));
  }
  const selection: PcrSelection = { bank: challenge.pcrBank as PcrBank, pcrs: challenge.pcrs };
  const extraData = quoteExtraData(challenge.nonce, hash);
  const { quote, values } = await quoteWithValues(tpm, unique, extraData, selection);
  const evidence = create(EvidenceSchema, {
    activationProof: activationProof(credentials, hash),
    attest: quote.attest,
    signature: quote.signature,
    pcrValues: [...values].sort(([a], [b]) => a - b).map(([index, value]) => ({ index, value })),
  });
  return { response: toBinary(EvidenceSchema, evidence), approvalCode: challenge.approvalCode };
}

const QUOTE_ATTEMPTS = 3;

/**
 * A quote together with the values that it is over. A register may be extended between the two commands (IMA does so with every
 * new file), so both are taken again; after that the quote goes alone, for the server refuses values that do not fit.
 */
async function quoteWithValues(
  tpm: TpmDevice,
  unique: Uint8Array,
  extraData: Uint8Array,
  selection: PcrSelection,
): Promise<{ quote: Quote; values: Map<number, Uint8Array> }> {
  for (let attempt = 1; ; attempt++) {
    const quote = await tpm.quote(unique, extraData, selection);
    const values = await tpm.pcrRead(selection);
    // The attestation key signs with SHA-256, which therefore also hashes the registers.
    const fits =
      Buffer.compare(parseQuote(quote.attest).pcrDigest, pcrDigest('sha256', selection, values)) === 0;
    if (fits) return { quote, values };
    if (attempt === QUOTE_ATTEMPTS) return { quote, values: new Map() };
  }
}

/** The endorsement key whose Name, computed by us, is the one that the credential was made for. */
function keyFor(keys: readonly EndorsementKey[], credential: ChallengeCredential): EndorsementKey {
  const wanted = Buffer.from(credential.ekName);
  const found = keys.find((key) => wanted.equals(nameOf(parsePublic(key.public))));
  if (found !== undefined) return found;
  const message = `the challenge names an endorsement key that this chip did not show (${wanted.toString('hex')})`;
  throw new TouchmarkError('node_attestation_failed', message);
}

function readChallenge(bytes: Uint8Array): Challenge {
  let wire: ReturnType<typeof fromBinary<typeof ChallengeSchema>>;
  try {
    wire = fromBinary(ChallengeSchema, bytes);
  } catch (cause) {
    const message = "the server's challenge is no Challenge of touchmark.attest.v1";
    throw new TouchmarkError('node_attestation_failed', message, { cause });
  }
  const { credentials, nonce, pcrBank, pcrs, approvalCode } = wire;
  const deadlineUnixMs = Number(wire.deadlineUnixMs);
  return checkChallenge({ credentials, nonce, pcrBank, pcrs, approvalCode, deadlineUnixMs });
}

/** Editors end files with a newline; a password does not. */
function withoutNewline(secret: Uint8Array): Uint8Array {
  let end = secret.length;
  while (end > 0 && (secret[end - 1] === 0x0a || secret[end - 1] === 0x0d)) end -= 1;
  return secret.subarray(0, end);
}
