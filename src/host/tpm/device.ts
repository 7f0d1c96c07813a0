import { TouchmarkError } from '../../errors.js';
import { checkPcr } from '../../tpm/pcr.js';
import type { EkTemplate, OpenTpmOptions, PcrSelection, TpmDevice } from '../tpm.js';
import { activate } from './activate.js';
import { describeChip } from './capability.js';
import { connect, type TpmConnection } from './connection.js';
import { type FoundKey, findEndorsementKeys, readChain } from './endorsement.js';
import type { PrimaryMaker } from './primary.js';
import { loadAttestationKey, makeQuote, readPcrs } from './quote.js';

const DEFAULT_TIMEOUT_MS = 30_000;
const UNIQUE_BYTES = 32;
/** Largest digest of a SHA-256-only chip, plus 2. */
const MAX_QUALIFYING_DATA = 34;

/** What openTpm() does once tpm2-tss may be loaded. */
export async function openDevice(options: OpenTpmOptions): Promise<TpmDevice> {
  const { tcti, log, timeoutMs = DEFAULT_TIMEOUT_MS, endorsementAuth = new Uint8Array() } = options;
  const connection = connect({ tcti, log, timeoutMs });
  try {
    await connection.operate(describeChip);
  } catch (error) {
    await connection.close();
    throw error;
  }
  return deviceOver(connection, { cache: new Map(), endorsementAuth }, options);
}

function deviceOver(connection: TpmConnection, maker: PrimaryMaker, { log }: OpenTpmOptions): TpmDevice {
  const endorsement = remembered(() => findEndorsementKeys(connection, maker, log));
  return {
    describe: () => connection.operate(describeChip),
    endorsementKeys: async () => (await endorsement()).map(({ key }) => key),
    chainCertificates: () => readChain(connection, log),
    async attestationKey(unique) {
      checkUnique(unique);
      return connection.operate(async (scope) => (await loadAttestationKey(scope, maker, unique)).public);
    },
    async activateCredential(name, unique, credentialBlob, encryptedSecret) {
      checkUnique(unique);
      const ek = withTemplate(await endorsement(), name);
      return connection.operate((scope) =>
        activate(scope, maker, { ek, unique, credentialBlob, encryptedSecret }),
      );
    },
    async quote(unique, qualifyingData, selection) {
      checkUnique(unique);
      checkQualifyingData(qualifyingData);
      checkSelection(selection);
      return connection.operate(async (scope) =>
        makeQuote(scope, await loadAttestationKey(scope, maker, unique), qualifyingData, selection),
      );
    },
    async pcrRead(selection) {
      checkSelection(selection);
      return connection.operate((scope) => readPcrs(scope, selection));
    },
    [Symbol.asyncDispose]: () => connection.close(),
  };
}

/** Runs once; a failure is forgotten. Callers at the same time share one run. */
function remembered<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined;
  return () => {
    running ??= work().catch((error) => {
      running = undefined;
      throw error;
    });
    return running;
  };
}

function withTemplate(found: readonly FoundKey[], name: EkTemplate): FoundKey {
  const match = found.find(({ key }) => key.template === name);
  if (match !== undefined) return match;
  const names = found.map(({ key }) => key.template).join(', ');
  throw new TouchmarkError('tpm_key_unavailable', `the TPM has no ${name} endorsement key, it has ${names}`);
}

function checkUnique(unique: Uint8Array): void {
  if (unique.length !== UNIQUE_BYTES) throw invalid(`unique has ${unique.length} bytes instead of 32`);
}

function checkQualifyingData(data: Uint8Array): void {
  if (data.length > MAX_QUALIFYING_DATA)
    throw invalid(`qualifying data has ${data.length} bytes, at most 34`);
}

function checkSelection({ pcrs }: PcrSelection): void {
  for (const pcr of pcrs) checkPcr(pcr);
  if (pcrs.length === 0) throw invalid('no PCR is selected');
}

function invalid(message: string): TouchmarkError {
  return new TouchmarkError('tpm_argument_invalid', message);
}
