import { setTimeout as sleep } from 'node:timers/promises';
import { LaneTimeout, within } from '../../../native/lane.js';
import { type Arguments, memory } from '../../../native/library.js';
import { ESYS_TR_NONE, type EsysName, type EsysSignatures } from '../../../native/tss2-esys.js';
import { type MuType, marshal } from '../../../native/tss2-mu.js';
import type { NativeContext } from './context.js';
import { TpmCallError } from './response-code.js';

type Rest<T extends unknown[]> = T extends [unknown, ...infer R] ? R : never;
/** The arguments of a call after the context, which every call has first. */
export type CallArguments<N extends EsysName> = Rest<Arguments<EsysSignatures[N]>>;

/** Where ESYS writes a handle. It is flushed (or, for something that lives in NV, forgotten) when the operation ends. */
export interface HandleSlot {
  readonly memory: Buffer;
  readonly handle: number;
}

/**
 * One operation on the chip, and everything that it holds. A slot is registered before the call that fills it, so that
 * what a call leaves behind is found even when nobody waits for that call any more.
 */
export interface TpmScope {
  /** @throws TpmCallError, after retrying what the chip asks to be retried; LaneTimeout */
  call<N extends EsysName>(name: N, ...args: CallArguments<N>): Promise<void>;
  /** For functions of ESYS that do not talk to the chip. */
  local<N extends EsysName>(name: N, ...args: CallArguments<N>): void;
  /** For a key or session, which takes one of the chip's few slots. */
  transient(): HandleSlot;
  /** Flushes one before the operation ends, to make room. */
  flush(slot: HandleSlot): Promise<void>;
  /** For what lives in NV. */
  permanent(): HandleSlot;
  /** Where ESYS writes the address of memory that it allocated. */
  output(): Buffer;
  /** The structure that such a slot points to, as specified bytes. */
  read(type: MuType, output: Buffer): Uint8Array;
}

export interface OwnedScope extends TpmScope {
  /** The last call that nobody waits for any more, if any ran into its time-out. */
  readonly stuck: Promise<unknown> | undefined;
  /** Flushes and frees all. @returns what could not be flushed */
  release(limitMs: number): Promise<unknown[]>;
  /** Frees what ESYS allocated, for a conversation that is over: its handles ended with it. */
  free(): void;
}

interface Held {
  handles: { memory: Buffer; close: 'Esys_FlushContext' | 'Esys_TR_Close' }[];
  outputs: Buffer[];
}

/** Pauses before each repetition of a command that a busy chip refused: about 4 s together. */
const BACK_OFF_MS: readonly number[] = [10, 20, 50, 100, 250, 500, 1000, 2000];

export function openScope(context: NativeContext, timeoutMs: number, backOffMs = BACK_OFF_MS): OwnedScope {
  const { esys, address } = context;
  const held: Held = { handles: [], outputs: [] };
  let stuck: Promise<unknown> | undefined;

  async function waited(limitMs: number, running: Promise<number>): Promise<number> {
    try {
      return await within(limitMs, running);
    } catch (error) {
      if (error instanceof LaneTimeout) stuck = running;
      throw error;
    }
  }
  return {
    get stuck() {
      return stuck;
    },
    call: (name, ...args) =>
      repeated(name, backOffMs, () =>
        waited(timeoutMs, esys.later(name, ...withContext<typeof name>(address, args))),
      ),
    local(name, ...args) {
      const code = esys.now(name, ...withContext<typeof name>(address, args));
      if (code !== 0) throw new TpmCallError(name, code);
    },
    async flush(slot) {
      await this.call('Esys_FlushContext', slot.handle);
      slot.memory.writeUInt32LE(ESYS_TR_NONE);
    },
    transient: () => newHandle(held, 'Esys_FlushContext'),
    permanent: () => newHandle(held, 'Esys_TR_Close'),
    output() {
      const slot = memory(8);
      held.outputs.push(slot);
      return slot;
    },
    read: readOutput,
    release: (limitMs) => release(context, held, (running) => waited(limitMs, running)),
    free: () => freeOutputs(context, held),
  };
}

/** A command that the chip wants to be repeated later is repeated, after longer and longer pauses. */
async function repeated(
  name: string,
  backOffMs: readonly number[],
  once: () => Promise<number>,
): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    const code = await once();
    if (code === 0) return;
    const error = new TpmCallError(name, code);
    const wait = backOffMs[attempt];
    if (error.failure !== 'retry' || wait === undefined) throw error;
    await sleep(wait);
  }
}

/** TypeScript cannot see that putting back the first element of a tuple restores the tuple. */
function withContext<N extends EsysName>(address: bigint, args: CallArguments<N>) {
  return [address, ...args] as unknown as Arguments<EsysSignatures[N]>;
}

function newHandle(held: Held, close: Held['handles'][number]['close']): HandleSlot {
  const slot = memory(4);
  slot.writeUInt32LE(ESYS_TR_NONE);
  held.handles.push({ memory: slot, close });
  return {
    memory: slot,
    get handle() {
      return slot.readUInt32LE(0);
    },
  };
}

function readOutput(type: MuType, output: Buffer): Uint8Array {
  const address = output.readBigUInt64LE(0);
  if (address === 0n) throw new TypeError(`the TPM library returned no ${type}`);
  return marshal(type, address);
}

type Waited = (running: Promise<number>) => Promise<number>;

async function release(context: NativeContext, held: Held, waited: Waited): Promise<unknown[]> {
  const failures: unknown[] = [];
  for (const { memory: slot, close } of held.handles.splice(0).reverse()) {
    if (slot.readUInt32LE(0) === ESYS_TR_NONE) continue;
    try {
      const code = await closeHandle(context, slot, close, waited);
      if (code !== 0) throw new TpmCallError(close, code);
    } catch (error) {
      failures.push(error);
      // The thread is still inside this context: nothing else of it may be touched.
      if (error instanceof LaneTimeout) return failures;
    }
  }
  freeOutputs(context, held);
  return failures;
}

function freeOutputs({ esys }: NativeContext, held: Held): void {
  for (const slot of held.outputs.splice(0)) {
    const allocated = slot.readBigUInt64LE(0);
    if (allocated !== 0n) esys.now('Esys_Free', allocated);
  }
}

async function closeHandle(
  { esys, address }: NativeContext,
  slot: Buffer,
  close: Held['handles'][number]['close'],
  waited: Waited,
): Promise<number> {
  if (close === 'Esys_TR_Close') return esys.now(close, address, slot);
  return waited(esys.later(close, address, slot.readUInt32LE(0)));
}
