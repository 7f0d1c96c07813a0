import type { Metadata } from '@grpc/grpc-js';
import { TouchmarkError } from '../errors.js';
import type { Call, MethodInfo } from './call.js';
import type { Connection } from './connections.js';

/** The part that all of grpc-js's four kinds of server call share. */
export interface CallSurface {
  readonly cancelled: boolean;
  readonly metadata: Metadata;
  getDeadline(): Date | number;
  getPeer(): string;
  once(event: 'cancelled', listener: () => void): unknown;
}

const run = Math.floor(Math.random() * 36 ** 4).toString(36);
let requests = 0;

/**
 * A class because of its lazy members: a unary call that reads neither signal nor audit pays for neither, and those are
 * most calls of a busy server.
 */
export class ServerCall<C> implements Call<C> {
  readonly caller: C;
  readonly method: MethodInfo;
  readonly connection: Connection<C>;
  readonly startedAt: number;
  readonly #surface: CallSurface;
  readonly #number: number;
  #controller: AbortController | undefined;
  #audit: Record<string, unknown> | undefined;

  constructor(connection: Connection<C>, method: MethodInfo, surface: CallSurface, now: number) {
    this.connection = connection;
    this.caller = connection.caller;
    this.method = method;
    this.startedAt = now;
    this.#surface = surface;
    requests += 1;
    this.#number = requests;
  }

  get metadata(): Metadata {
    return this.#surface.metadata;
  }

  get requestId(): string {
    return `${run}-${this.#number.toString(36)}`;
  }

  get audit(): Record<string, unknown> {
    this.#audit ??= {};
    return this.#audit;
  }

  get deadline(): number | undefined {
    const deadline = Number(this.#surface.getDeadline());
    return Number.isFinite(deadline) ? deadline : undefined;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#surface.cancelled) this.abort(cancelled(this));
      else this.#surface.once('cancelled', () => this.abort(cancelled(this)));
    }
    return this.#controller.signal;
  }

  /** Ends the call from our side; the reason is what its streams fail with. */
  abort(reason: TouchmarkError): void {
    this.#controller ??= new AbortController();
    if (!this.#controller.signal.aborted) this.#controller.abort(reason);
  }
}

function cancelled(call: ServerCall<unknown>): TouchmarkError {
  const { deadline } = call;
  if (deadline !== undefined && deadline <= Date.now()) {
    return new TouchmarkError('call_deadline', `${call.method.name} was not answered before its deadline`);
  }
  return new TouchmarkError('call_cancelled', `${call.method.name} was cancelled`);
}
