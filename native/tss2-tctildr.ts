import { type NativeLibrary, openLibrary } from './library.js';

const signatures = {
  Tss2_TctiLdr_Initialize: ['text', 'pointer'],
  Tss2_TctiLdr_Finalize: ['pointer'],
} as const;

let loaded: NativeLibrary<typeof signatures> | undefined;

/** Finds and opens a TCTI (device, swtpm, mssim ...) by its configuration string. @throws TouchmarkError `native_library_missing` */
export function loadTctiLoader(): NativeLibrary<typeof signatures> {
  loaded ??= openLibrary('libtss2-tctildr.so.0', 'uint32_t', signatures, 'libtss2-tctildr0');
  return loaded;
}
