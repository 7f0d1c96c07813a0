import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { activationProof } from '../../attest/activation.js';
import { checkChallenge } from '../../attest/check-messages.js';
import { type LogWish, MEASUREMENT_FEATURE } from '../../attest/logs.js';
import type { Challenge, ChallengeCredential, Hello } from '../../attest/messages.js';
import { attestationKeyUnique, quoteExtraData, transcript } from '../../attest/transcript.js';
import { messageOf, TouchmarkError } from '../../errors.js';
import type { LogSnapshot } from '../../host/measurements/contract.js';
import type { EndorsementKey, PcrBank, PcrSelection, TpmDevice } from '../../host/tpm.js';
import { nameOf } from '../../tpm/name.js';
import { parsePublic } from '../../tpm/public.js';
import { ChallengeSchema, EvidenceSchema, HelloSchema } from '../../wire/gen/touchmark/attest/v1/tpm_pb.js';
import { LogPartSchema } from '../../wire/gen/touchmark/measure/v1/logs_pb.js';
import { type Chip, createChip } from '../measure/chip.js';
import { inlineParts, type Measurer } from '../measure/measurer.js';
import { orderedValues, quoteWithValues } from '../measure/quote.js';
import { partToWire, readLogRequest, readWishes } from '../measure/wire.js';
import type { Answer, Attempt, NodeAttestor, NodeAttestorDeps } from './contract.js';

interface TpmSettings {
  readonly tcti: string;
  readonly endorsementAuthFile: string;
  readonly akGeneration: number;
}

/**
 * `tpm`: the chip proves that it holds its endorsement keys and a restricted attestation key, and quotes over everything
 * that was said on this connection (docs/attestation.md). The logs that explain the quote are read after it.
 */
export function tpmAttestor(settings: TpmSettings, deps: NodeAttestorDeps): NodeAttestor {
  return new TpmAttestor(settings, deps);
}

class TpmAttestor implements NodeAttestor {
  readonly type = 'tpm';
  readonly reattestable = true;
  readonly chip: Chip;
  readonly #identity: Identity;

  constructor(settings: TpmSettings, deps: NodeAttestorDeps) {
    const { config, agentVersion, measurer, log } = deps;
    const { trustDomain } = config;
    const unique = attestationKeyUnique(trustDomain, settings.akGeneration);
    this.chip = createChip({ unique, log, open: () => open(settings, deps) });
    this.#identity = { chip: this.chip, trustDomain, agentVersion, measurer };
  }

  begin(): Promise<Attempt> {
    return beginAttempt(this.#identity);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.chip[Symbol.asyncDispose]();
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
  readonly chip: Chip;
  readonly trustDomain: string;
  readonly agentVersion: string;
  readonly measurer: Measurer;
}

async function beginAttempt(identity: Identity): Promise<Attempt> {
  const { chip, trustDomain } = identity;
  const { keys, hello } = await chip.use(async (tpm) => {
    const found = await tpm.endorsementKeys();
    return { keys: found, hello: await makeHello(tpm, found, identity) };
  });
  const payload = toBinary(HelloSchema, create(HelloSchema, hello));
  // The logs as they were after the quote of this attempt.
  let snapshot: LogSnapshot | undefined;
  return {
    payload,
    async answer(challengeBytes, connection) {
      if (snapshot !== undefined) return answerMore(snapshot, challengeBytes);
      const { challenge, wishes } = readChallenge(challengeBytes);
      const hash = transcript({ ...connection, trustDomain, payload, challenge: challengeBytes });
      const answered = await answer(identity, { keys, challenge, wishes, hash });
      snapshot = answered.snapshot;
      return answered;
    },
  };
}

async function makeHello(
  tpm: TpmDevice,
  keys: readonly EndorsementKey[],
  { chip, agentVersion }: Identity,
): Promise<Hello> {
  const facts = await tpm.describe();
  return {
    akPublic: await tpm.attestationKey(chip.unique),
    endorsementKeys: keys.map((key) => ({
      public: key.public,
      certificate: key.certificate ?? new Uint8Array(),
    })),
    chainCertificates: await tpm.chainCertificates(),
    banks: facts.banks.map(({ bank }) => bank),
    agentVersion,
    features: [MEASUREMENT_FEATURE],
  };
}

interface Question {
  readonly keys: readonly EndorsementKey[];
  readonly challenge: Challenge;
  readonly wishes: readonly LogWish[];
  readonly hash: Uint8Array;
}

async function answer(
  { chip, measurer }: Identity,
  { keys, challenge, wishes, hash }: Question,
): Promise<Answer & { readonly snapshot: LogSnapshot }> {
  const { unique } = chip;
  const { credentials, quoted } = await chip.use(async (tpm) => {
    const selection: PcrSelection = { bank: challenge.pcrBank as PcrBank, pcrs: challenge.pcrs };
    const extraData = quoteExtraData(challenge.nonce, hash);
    const opened = await openCredentials(tpm, unique, keys, challenge.credentials);
    return { credentials: opened, quoted: await quoteWithValues(tpm, { unique, extraData, selection }) };
  });
  const snapshot = measurer.snapshot();
  const evidence = create(EvidenceSchema, {
    activationProof: activationProof(credentials, hash),
    attest: quoted.quote.attest,
    signature: quoted.quote.signature,
    pcrValues: orderedValues(quoted.values),
    logs: (await inlineParts(snapshot, wishes)).map(partToWire),
  });
  return { response: toBinary(EvidenceSchema, evidence), approvalCode: challenge.approvalCode, snapshot };
}

async function openCredentials(
  tpm: TpmDevice,
  unique: Uint8Array,
  keys: readonly EndorsementKey[],
  sealed: readonly ChallengeCredential[],
): Promise<Uint8Array[]> {
  const credentials: Uint8Array[] = [];
  for (const credential of sealed) {
    const { template } = keyFor(keys, credential);
    const { credentialBlob, encryptedSecret } = credential;
    credentials.push(await tpm.activateCredential(template, unique, credentialBlob, encryptedSecret));
  }
  return credentials;
}

/** Every challenge after the first asks for more of a log. */
async function answerMore(snapshot: LogSnapshot, request: Uint8Array): Promise<Answer> {
  const part = await snapshot.read(sensible(() => readLogRequest(request)));
  return { response: toBinary(LogPartSchema, create(LogPartSchema, partToWire(part))), approvalCode: '' };
}

/** The endorsement key whose Name, computed by us, is the one that the credential was made for. */
function keyFor(keys: readonly EndorsementKey[], credential: ChallengeCredential): EndorsementKey {
  const wanted = Buffer.from(credential.ekName);
  const found = keys.find((key) => wanted.equals(nameOf(parsePublic(key.public))));
  if (found !== undefined) return found;
  const message = `the challenge names an endorsement key that this chip did not show (${wanted.toString('hex')})`;
  throw new TouchmarkError('node_attestation_failed', message);
}

function readChallenge(bytes: Uint8Array): { challenge: Challenge; wishes: LogWish[] } {
  let wire: ReturnType<typeof fromBinary<typeof ChallengeSchema>>;
  try {
    wire = fromBinary(ChallengeSchema, bytes);
  } catch (cause) {
    const message = "the server's challenge is no Challenge of touchmark.attest.v1";
    throw new TouchmarkError('node_attestation_failed', message, { cause });
  }
  const { credentials, nonce, pcrBank, pcrs, approvalCode } = wire;
  const deadlineUnixMs = Number(wire.deadlineUnixMs);
  const challenge = checkChallenge({ credentials, nonce, pcrBank, pcrs, approvalCode, deadlineUnixMs });
  return { challenge, wishes: sensible(() => readWishes(wire.logs)) };
}

function sensible<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new TouchmarkError('node_attestation_failed', messageOf(cause), { cause });
  }
}

/** Editors end files with a newline; a password does not. */
function withoutNewline(secret: Uint8Array): Uint8Array {
  let end = secret.length;
  while (end > 0 && (secret[end - 1] === 0x0a || secret[end - 1] === 0x0d)) end -= 1;
  return secret.subarray(0, end);
}
