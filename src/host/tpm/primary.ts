import { ESYS_TR_NONE, ESYS_TR_PASSWORD, ESYS_TR_RH_ENDORSEMENT } from '../../../native/tss2-esys.js';
import { unmarshal } from '../../../native/tss2-mu.js';
import { join, sized, u16, u32 } from '../../tpm/writer.js';
import { TpmCallError } from './response-code.js';
import type { HandleSlot, TpmScope } from './scope.js';
import { startHmacSession } from './session.js';

/** A primary key of the endorsement hierarchy, loaded for the length of one operation. */
export interface LoadedPrimary {
  slot: HandleSlot;
  /** TPMT_PUBLIC. */
  public: Uint8Array;
}

/**
 * Keys made earlier, as the chip wrapped them for itself (TPM2_ContextSave): making an RSA primary takes seconds on real chips,
 * loading its context does not. Useless outside this chip and after its next reset.
 */
export type PrimaryCache = Map<string, { public: Uint8Array; context: Uint8Array }>;

export interface PrimaryMaker {
  cache: PrimaryCache;
  endorsementAuth: Uint8Array;
}

const MAX_CACHED = 16;
/** TPM2B_SENSITIVE_CREATE without authorisation value and data. */
const NO_SENSITIVE = join(u16(4), u16(0), u16(0));

/** @param template TPMT_PUBLIC; the same one gives the same key for as long as the endorsement seed lives */
export async function loadPrimary(
  scope: TpmScope,
  maker: PrimaryMaker,
  template: Uint8Array,
): Promise<LoadedPrimary> {
  const key = Buffer.from(template).toString('base64');
  const cached = maker.cache.get(key);
  if (cached !== undefined) {
    const slot = await loadContext(scope, cached.context);
    if (slot !== undefined) return { slot, public: cached.public };
    maker.cache.delete(key);
  }
  const made = await createPrimary(scope, maker, template);
  const context = await saveContext(scope, made.slot);
  if (context !== undefined && maker.cache.size < MAX_CACHED) {
    maker.cache.set(key, { public: made.public, context });
  }
  return made;
}

async function createPrimary(
  scope: TpmScope,
  maker: PrimaryMaker,
  template: Uint8Array,
): Promise<LoadedPrimary> {
  const slot = scope.transient();
  const outPublic = scope.output();
  const [creation, hash, ticket] = [scope.output(), scope.output(), scope.output()];
  const sensitive = unmarshal('TPM2B_SENSITIVE_CREATE', NO_SENSITIVE);
  const wanted = unmarshal('TPM2B_PUBLIC', sized(template));
  const outside = unmarshal('TPM2B_DATA', u16(0));
  const pcrs = unmarshal('TPML_PCR_SELECTION', u32(0));
  await withEndorsement(scope, maker, (session) =>
    scope.call(
      'Esys_CreatePrimary',
      ...([ESYS_TR_RH_ENDORSEMENT, session, ESYS_TR_NONE, ESYS_TR_NONE] as const),
      ...([sensitive, wanted, outside, pcrs, slot.memory, outPublic, creation, hash, ticket] as const),
    ),
  );
  return { slot, public: scope.read('TPM2B_PUBLIC', outPublic).slice(2) };
}

/**
 * Runs a command that the endorsement hierarchy must authorise. Its value is empty nearly everywhere; where it is not, it is
 * proven by HMAC and never sent.
 */
async function withEndorsement(
  scope: TpmScope,
  { endorsementAuth }: PrimaryMaker,
  command: (session: number) => Promise<void>,
): Promise<void> {
  giveEndorsementAuth(scope, endorsementAuth);
  if (endorsementAuth.length === 0) return command(ESYS_TR_PASSWORD);
  const session = await startHmacSession(scope);
  await command(session.handle);
  await scope.flush(session);
}

/** Tells ESYS the hierarchy's value, from which it computes HMACs. */
export function giveEndorsementAuth(scope: TpmScope, auth: Uint8Array): void {
  scope.local('Esys_TR_SetAuth', ESYS_TR_RH_ENDORSEMENT, unmarshal('TPM2B_DIGEST', sized(auth)));
}

async function saveContext(scope: TpmScope, slot: HandleSlot): Promise<Uint8Array | undefined> {
  const output = scope.output();
  try {
    await scope.call('Esys_ContextSave', slot.handle, output);
    return scope.read('TPMS_CONTEXT', output);
  } catch (error) {
    // A chip that does not save contexts costs time, nothing else.
    if (error instanceof TpmCallError && error.failure === 'refused') return undefined;
    throw error;
  }
}

async function loadContext(scope: TpmScope, context: Uint8Array): Promise<HandleSlot | undefined> {
  const slot = scope.transient();
  try {
    await scope.call('Esys_ContextLoad', unmarshal('TPMS_CONTEXT', context), slot.memory);
    return slot;
  } catch (error) {
    // The chip was reset since: the key has to be made again.
    if (error instanceof TpmCallError && error.failure === 'refused') return undefined;
    throw error;
  }
}
