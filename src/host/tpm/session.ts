import { ESYS_TR_NONE } from '../../../native/tss2-esys.js';
import { unmarshal } from '../../../native/tss2-mu.js';
import { type HashName, hashByName } from '../../tpm/algorithms.js';
import { join, u16 } from '../../tpm/writer.js';
import type { HandleSlot, TpmScope } from './scope.js';

const TPM_SE = { hmac: 0, policy: 1 } as const;
/** TPMA_SESSION */
const CONTINUE = 0x01;
const ENCRYPT_RESPONSE = 0x40;
/** TPMT_SYM_DEF: AES-128-CFB; none. */
const AES_128_CFB = join(u16(6), u16(128), u16(0x43));
const NO_CIPHER = u16(0x10);

/**
 * An HMAC session. Salted to a key, it also encrypts the first parameter of each answer: whoever reads the bus learns
 * nothing. Against somebody who can change what passes on the bus this holds only as far as the salt key is known to be
 * the chip's, and here it was read from that same bus.
 */
export async function startHmacSession(scope: TpmScope, saltKey?: HandleSlot): Promise<HandleSlot> {
  const cipher = saltKey === undefined ? NO_CIPHER : AES_128_CFB;
  const slot = await start(scope, TPM_SE.hmac, 'sha256', cipher, saltKey?.handle ?? ESYS_TR_NONE);
  const flags = saltKey === undefined ? CONTINUE : CONTINUE | ENCRYPT_RESPONSE;
  scope.local('Esys_TRSess_SetAttributes', slot.handle, flags, 0xff);
  return slot;
}

export async function startPolicySession(scope: TpmScope, hash: HashName): Promise<HandleSlot> {
  const slot = await start(scope, TPM_SE.policy, hash, NO_CIPHER, ESYS_TR_NONE);
  scope.local('Esys_TRSess_SetAttributes', slot.handle, CONTINUE, 0xff);
  return slot;
}

async function start(
  scope: TpmScope,
  kind: number,
  hash: HashName,
  cipher: Uint8Array,
  saltKey: number,
): Promise<HandleSlot> {
  const none = ESYS_TR_NONE;
  const slot = scope.transient();
  const symmetric = unmarshal('TPMT_SYM_DEF', cipher);
  const { id } = hashByName(hash);
  await scope.call(
    'Esys_StartAuthSession',
    ...([saltKey, none, none, none, none, null, kind, symmetric, id, slot.memory] as const),
  );
  return slot;
}
