import koffi from 'koffi';

let decode: ((code: number) => string) | undefined;

/** What a response code means, in tpm2-tss's words; the bare number where libtss2-rc0 is not installed. */
export function describeResponseCode(code: number): string {
  const hex = `0x${code.toString(16)}`;
  try {
    decode ??= koffi.load('libtss2-rc.so.0').func('const char *Tss2_RC_Decode(uint32_t rc)') as (
      code: number,
    ) => string;
    return `${hex}, ${decode(code)}`;
  } catch {
    return hex;
  }
}
