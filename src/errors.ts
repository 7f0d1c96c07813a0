import { type ErrorCode, errorTable, type RpcCode } from './error-table.js';

export type { ErrorCode, RpcCode } from './error-table.js';

export interface ErrorOptions {
  cause?: unknown;
  /** For the log only: what the peer must not be told. Never holds secrets. */
  detail?: Record<string, unknown>;
}

/**
 * Every failure that a user can meet. `code` is stable and documented in docs/errors.md, `message` is one
 * sentence that may be told to the peer and names the value that was wrong, `remedy` says what to do about it.
 */
export class TouchmarkError extends Error {
  override readonly name = 'TouchmarkError';
  readonly code: ErrorCode;
  readonly detail: Record<string, unknown>;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.detail = options.detail ?? {};
  }

  get rpc(): RpcCode {
    return errorTable[this.code].rpc;
  }

  get remedy(): string {
    return errorTable[this.code].remedy;
  }
}

export function hasCode(error: unknown, ...codes: ErrorCode[]): error is TouchmarkError {
  return error instanceof TouchmarkError && codes.includes(error.code);
}

/** The message of anything thrown, without a stack. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
