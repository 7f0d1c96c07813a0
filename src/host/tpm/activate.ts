import { ESYS_TR_NONE, ESYS_TR_RH_ENDORSEMENT } from '../../../native/tss2-esys.js';
import { unmarshal } from '../../../native/tss2-mu.js';
import { TouchmarkError } from '../../errors.js';
import { ekPolicies } from '../../tpm/ek-templates.js';
import { join, sized, u32 } from '../../tpm/writer.js';
import type { FoundKey } from './endorsement.js';
import { giveEndorsementAuth, loadPrimary, type PrimaryMaker } from './primary.js';
import { loadAttestationKey, readPcrs } from './quote.js';
import { blamesParameter, TpmCallError } from './response-code.js';
import type { HandleSlot, TpmScope } from './scope.js';
import { startHmacSession, startPolicySession } from './session.js';

const TPM_RC_FAILURE = 0x101;

export interface Activation {
  ek: FoundKey;
  /** `unique` of the attestation key. */
  unique: Uint8Array;
  credentialBlob: Uint8Array;
  encryptedSecret: Uint8Array;
}

/**
 * TPM2_ActivateCredential (Part 3, 12.5). Holds two keys and two sessions at a time, since chips have room for three of each.
 * The credential comes back encrypted to a session that is salted to the EK.
 */
export async function activate(
  scope: TpmScope,
  maker: PrimaryMaker,
  activation: Activation,
): Promise<Uint8Array> {
  const ak = await loadAttestationKey(scope, maker, activation.unique);
  const ek = await loadPrimary(scope, maker, activation.ek.templateBytes);
  giveEndorsementAuth(scope, maker.endorsementAuth);
  const salted = await startHmacSession(scope, ek.slot);
  const policy = await satisfyEkPolicy(scope, activation.ek, salted);
  const output = scope.output();
  try {
    await scope.call(
      'Esys_ActivateCredential',
      ...([ak.slot.handle, ek.slot.handle, salted.handle, policy.handle, ESYS_TR_NONE] as const),
      ...blobs(activation),
      output,
    );
  } catch (error) {
    throw await meaningOf(error, scope);
  }
  return scope.read('TPM2B_DIGEST', output).slice(2);
}

/** PolicySecret(endorsement), and for H templates the PolicyOR of which that is the first branch. */
async function satisfyEkPolicy(scope: TpmScope, ek: FoundKey, session: HandleSlot): Promise<HandleSlot> {
  const none = ESYS_TR_NONE;
  const { nameAlg, policy } = ek.template;
  const slot = await startPolicySession(scope, nameAlg);
  await scope.call(
    'Esys_PolicySecret',
    ...([ESYS_TR_RH_ENDORSEMENT, slot.handle, session.handle, none, none] as const),
    ...([null, null, null, 0, scope.output(), scope.output()] as const),
  );
  if (policy === 'b' && nameAlg !== 'sha1') {
    const { a, c } = ekPolicies[nameAlg];
    const branches = unmarshal('TPML_DIGEST', join(u32(2), sized(a), sized(c)));
    await scope.call('Esys_PolicyOR', slot.handle, none, none, none, branches);
  }
  return slot;
}

function blobs({ credentialBlob, encryptedSecret }: Activation) {
  try {
    return [
      unmarshal('TPM2B_ID_OBJECT', sized(credentialBlob)),
      unmarshal('TPM2B_ENCRYPTED_SECRET', sized(encryptedSecret)),
    ] as const;
  } catch (cause) {
    const message = `the credential of ${credentialBlob.length} and ${encryptedSecret.length} bytes is not one that a TPM reads`;
    throw new TouchmarkError('tpm_credential_refused', message, { cause });
  }
}

/**
 * Integrity, size or value of the blob or the secret mean that it was made for another EK or another AK. Some chips say
 * TPM_RC_FAILURE when RSA decryption fails; a chip that really failed refuses the next command too.
 */
async function meaningOf(error: unknown, scope: TpmScope): Promise<unknown> {
  if (!(error instanceof TpmCallError)) return error;
  const refused = blamesParameter(error.code) || (error.code === TPM_RC_FAILURE && (await answers(scope)));
  if (!refused) return error;
  const message = 'the TPM refused the credential: it was made for another endorsement or attestation key';
  const detail = { responseCode: error.code };
  return new TouchmarkError('tpm_credential_refused', message, { cause: error, detail });
}

async function answers(scope: TpmScope): Promise<boolean> {
  try {
    await readPcrs(scope, { bank: 'sha256', pcrs: [0] });
    return true;
  } catch {
    return false;
  }
}
