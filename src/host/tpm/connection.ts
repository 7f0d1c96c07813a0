import { setTimeout as sleep } from 'node:timers/promises';
import { createLane, LaneTimeout, within } from '../../../native/lane.js';
import { TouchmarkError } from '../../errors.js';
import type { Logger } from '../../log.js';
import { type NativeContext, openContext } from './context.js';
import { TpmCallError, toTouchmarkError } from './response-code.js';
import { type OwnedScope, openScope, type TpmScope } from './scope.js';

/** The one way to the chip: operations run one after the other, and each leaves the chip as it found it. */
export interface TpmConnection {
  /**
   * Runs an operation. When the device fails under it, the conversation is opened anew and the operation runs once more,
   * so it must be one that may be repeated.
   * @throws TouchmarkError
   */
  operate<T>(work: (scope: TpmScope) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface ConnectionOptions {
  tcti: string;
  timeoutMs: number;
  log: Logger;
}

interface State {
  context: NativeContext | undefined;
  closed: boolean;
}

/** A stuck call holds one of libuv's threads, which files and name services that hang need as well (`slow-calls.ts`). */
const MAX_STUCK = 1;
/** Calls for which nobody waits any more, of all conversations: a new one does not give the threads of an old one back. */
let stuckCalls = 0;
const REOPEN_PAUSE_MS = 100;

export function connect(options: ConnectionOptions): TpmConnection {
  const lane = createLane();
  const state: State = { context: undefined, closed: false };
  return {
    operate: (work) => lane.run(() => attempt(options, state, work, 1)),
    close() {
      state.closed = true;
      return lane.run(async () => {
        if (state.context !== undefined) await discard(options, state, state.context);
      });
    },
  };
}

async function attempt<T>(
  options: ConnectionOptions,
  state: State,
  work: (scope: TpmScope) => Promise<T>,
  repeats: number,
): Promise<T> {
  const context = await currentContext(options, state);
  const scope = openScope(context, options.timeoutMs);
  try {
    return await work(scope);
  } catch (error) {
    if (error instanceof LaneTimeout) throw timedOut(options, error);
    if (!isDeviceFailure(error)) throw toTouchmarkError(error);
    await discard(options, state, context);
    if (repeats === 0) throw toTouchmarkError(error);
    options.log.warn('the TPM failed, opening it again', { error });
  } finally {
    await finish(options, state, context, scope);
  }
  await sleep(REOPEN_PAUSE_MS);
  return attempt(options, state, work, repeats - 1);
}

async function currentContext({ tcti, timeoutMs }: ConnectionOptions, state: State): Promise<NativeContext> {
  if (state.closed)
    throw new TouchmarkError('tpm_unavailable', `the TPM at ${tcti} was closed by this process`);
  if (stuckCalls >= MAX_STUCK) {
    const message = `the TPM at ${tcti} is left alone: it has not answered an earlier command yet`;
    throw new TouchmarkError('tpm_unavailable', message);
  }
  state.context ??= await openContext(tcti, timeoutMs, countStuck);
  return state.context;
}

/** Whatever happened: nothing of the operation stays in the chip, or else the conversation ends, which frees it there. */
async function finish(
  options: ConnectionOptions,
  state: State,
  context: NativeContext,
  scope: OwnedScope,
): Promise<void> {
  if (scope.stuck === undefined) {
    if (state.context !== context) return scope.free();
    const failures = await scope.release(options.timeoutMs);
    if (failures.length === 0) return;
    options.log.warn('a handle could not be flushed, opening the TPM again', { error: failures[0] });
    if (scope.stuck === undefined) return discard(options, state, context);
  }
  state.context = undefined;
  const abandoned = tidy(options, context, scope);
  abandoned.catch((error) =>
    options.log.warn('an abandoned TPM conversation could not be closed', { error }),
  );
  countStuck(abandoned);
}

/**
 * Leaves a conversation to the thread that is stuck in it; once that returns, what the operation held is flushed after all. While
 * a thread is inside, nothing else of the conversation may be touched, and the flushing can get stuck as well.
 */
async function tidy(
  { timeoutMs }: ConnectionOptions,
  context: NativeContext,
  scope: OwnedScope,
): Promise<void> {
  let inside: Promise<unknown> | undefined;
  while (scope.stuck !== inside) {
    inside = scope.stuck;
    await inside?.catch(() => {});
    await scope.release(timeoutMs);
  }
  await context.close();
}

function countStuck(settled: Promise<unknown>): void {
  stuckCalls += 1;
  const over = () => {
    stuckCalls -= 1;
  };
  settled.then(over, over);
}

async function discard(options: ConnectionOptions, state: State, context: NativeContext): Promise<void> {
  state.context = undefined;
  const closing = context.close();
  try {
    await within(options.timeoutMs, closing);
  } catch (error) {
    options.log.warn('a TPM conversation could not be closed', { error });
    if (error instanceof LaneTimeout) countStuck(closing);
  }
}

function isDeviceFailure(error: unknown): boolean {
  return error instanceof TpmCallError && error.failure === 'device';
}

function timedOut({ tcti, timeoutMs }: ConnectionOptions, cause: LaneTimeout): TouchmarkError {
  const message = `the TPM at ${tcti} did not answer a command within ${timeoutMs} ms`;
  return new TouchmarkError('tpm_timeout', message, { cause });
}
