import { type NativeLibrary, openLibrary } from './library.js';

/** Handles of ESYS (ESYS_TR), not of the chip. */
export const ESYS_TR_NONE = 0xfff;
export const ESYS_TR_PASSWORD = 0xff;
export const ESYS_TR_RH_ENDORSEMENT = 0x10b;

const sessions = ['u32', 'u32', 'u32'] as const;

/**
 * The part of ESYS that we use: first parameter always the ESYS_CONTEXT, structures always by address, outputs always
 * an address to which ESYS writes a handle, or the address of memory that Esys_Free releases.
 */
const signatures = {
  Esys_Initialize: ['pointer', 'pointer', 'pointer'],
  Esys_Finalize: ['pointer'],
  Esys_Free: ['pointer'],
  Esys_GetCapability: ['pointer', ...sessions, 'u32', 'u32', 'u32', 'pointer', 'pointer'],
  Esys_TR_FromTPMPublic: ['pointer', 'u32', ...sessions, 'pointer'],
  Esys_TR_SetAuth: ['pointer', 'u32', 'pointer'],
  Esys_TR_Close: ['pointer', 'pointer'],
  Esys_TRSess_SetAttributes: ['pointer', 'u32', 'u8', 'u8'],
  Esys_FlushContext: ['pointer', 'u32'],
  Esys_ContextSave: ['pointer', 'u32', 'pointer'],
  Esys_ContextLoad: ['pointer', 'pointer', 'pointer'],
  // primary hierarchy; sensitive, public, outside info, creation PCRs; handle, public, creation data, hash, ticket
  Esys_CreatePrimary: [
    ...(['pointer', 'u32', ...sessions] as const),
    ...(['pointer', 'pointer', 'pointer', 'pointer'] as const),
    ...(['pointer', 'pointer', 'pointer', 'pointer', 'pointer'] as const),
  ],
  // salt key, bind entity; nonce, type, symmetric, hash; session
  Esys_StartAuthSession: [
    ...(['pointer', 'u32', 'u32', ...sessions] as const),
    ...(['pointer', 'u8', 'pointer', 'u16', 'pointer'] as const),
  ],
  // authorising entity, session; nonce, cpHash, policyRef, expiration; timeout, ticket
  Esys_PolicySecret: [
    ...(['pointer', 'u32', 'u32', ...sessions] as const),
    ...(['pointer', 'pointer', 'pointer', 'i32', 'pointer', 'pointer'] as const),
  ],
  Esys_PolicyOR: ['pointer', 'u32', ...sessions, 'pointer'],
  Esys_ActivateCredential: ['pointer', 'u32', 'u32', ...sessions, 'pointer', 'pointer', 'pointer'],
  Esys_Quote: ['pointer', 'u32', ...sessions, 'pointer', 'pointer', 'pointer', 'pointer', 'pointer'],
  Esys_PCR_Read: ['pointer', ...sessions, 'pointer', 'pointer', 'pointer', 'pointer'],
  Esys_NV_ReadPublic: ['pointer', 'u32', ...sessions, 'pointer', 'pointer'],
  Esys_NV_Read: ['pointer', 'u32', 'u32', ...sessions, 'u16', 'u16', 'pointer'],
} as const;

export type EsysSignatures = typeof signatures;
export type EsysName = keyof EsysSignatures & string;
export type EsysLibrary = NativeLibrary<EsysSignatures>;

let loaded: EsysLibrary | undefined;

/** @throws TouchmarkError `native_library_missing` */
export function loadEsys(): EsysLibrary {
  loaded ??= openLibrary('libtss2-esys.so.0', 'uint32_t', signatures, 'libtss2-esys-3.0.2-0');
  return loaded;
}
