import koffi from 'koffi';
import { messageOf, TouchmarkError } from '../src/errors.js';

/** An address in C's memory (0n is NULL), or the memory of a Buffer that outlives the call. */
export type NativePointer = bigint | Buffer | null;

/** How one parameter crosses: by address or as a number. */
export type Kind = 'pointer' | 'u32' | 'i32' | 'u16' | 'u8' | 'size' | 'long' | 'text';
type Argument<K> = K extends 'pointer' ? NativePointer : K extends 'text' ? string : number;
export type Arguments<K extends readonly Kind[]> = { -readonly [I in keyof K]: Argument<K[I]> };
export type Signatures = Readonly<Record<string, readonly Kind[]>>;

const cTypes: Record<Kind, string> = {
  pointer: 'void *',
  u32: 'uint32_t',
  i32: 'int',
  u16: 'uint16_t',
  u8: 'uint8_t',
  size: 'size_t',
  long: 'long',
  text: 'const char *',
};

export interface NativeLibrary<S extends Signatures> {
  /** Runs on the calling thread: only for functions that never wait. */
  now<N extends keyof S & string>(name: N, ...args: Arguments<S[N]>): number;
  /** Runs on a thread of libuv's pool; the arguments' memory is held until it returns. */
  later<N extends keyof S & string>(name: N, ...args: Arguments<S[N]>): Promise<number>;
}

/**
 * Opens a shared library and binds the listed functions. Every function that we bind returns an integer.
 * @param packages the Debian packages that carry it, for the person who lacks it
 * @throws TouchmarkError `native_library_missing`
 */
export function openLibrary<S extends Signatures>(
  soname: string,
  result: 'uint32_t' | 'long' | 'int',
  signatures: S,
  packages: string,
): NativeLibrary<S> {
  const library = loadShared(soname, packages);
  const bound = new Map<string, ReturnType<typeof library.func>>();
  for (const [name, kinds] of Object.entries(signatures)) {
    const types = kinds.map((kind) => cTypes[kind]);
    bound.set(name, library.func(name, result, types));
  }
  const find = (name: string) => {
    const found = bound.get(name);
    if (found === undefined) throw new TypeError(`${name} is not bound`);
    return found;
  };
  return {
    now: (name, ...args) => Number(find(name)(...args)),
    later: (name, ...args) =>
      new Promise((resolve, reject) => {
        find(name).async(...args, (error: unknown, value: unknown) => {
          // Naming the arguments here keeps their memory reachable for as long as C may write to it.
          if (error) reject(new Error(`${name} with ${args.length} arguments`, { cause: error }));
          else resolve(Number(value));
        });
      }),
  };
}

function loadShared(soname: string, packages: string): ReturnType<typeof koffi.load> {
  // tpm2-tss writes to stderr by itself, unless told otherwise before its first line; an operator's choice stays.
  process.env['TSS2_LOG'] ??= 'all+none';
  try {
    return koffi.load(soname);
  } catch (cause) {
    const message = `the library ${soname} cannot be loaded: install ${packages}`;
    throw new TouchmarkError('native_library_missing', message, {
      cause,
      detail: { reason: messageOf(cause) },
    });
  }
}

/** The calling thread's errno after `now`. It means nothing after `later`. */
export function lastErrno(): number {
  return koffi.errno();
}

/** Zeroed memory for C to read or write. Never tiny: V8 may move small arrays, which live on its own heap. */
export function memory(size: number): Buffer {
  return Buffer.alloc(Math.max(size, 256));
}

/** Copies `length` bytes at an address of C. The caller has bounded `length` by what C is known to have allocated. */
export function copyFrom(address: bigint, length: number): Uint8Array {
  return new Uint8Array(koffi.view(address, length).slice(0));
}
