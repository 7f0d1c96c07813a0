import type { AuditEvent, AuditFields } from '../../events.js';
import type { Logger } from '../../log.js';
import type { Caller } from './caller.js';

/** One call to the API, when it has ended. */
export interface AuditedCall {
  readonly requestId: string;
  /** `/package.Service/Method` */
  readonly method: string;
  readonly caller: Caller;
  /** gRPC status name. */
  readonly status: string;
  /** What the caller was told; empty when all went well. */
  readonly message: string;
  readonly fields: AuditFields;
  readonly milliseconds: number;
}

/** The audit log: one line for each call and for each event of src/events.ts, in the stream of the log, with `type=audit`. */
export interface Audit {
  call(call: AuditedCall): void;
  event(event: Exclude<AuditEvent, 'rpc'>, fields: AuditFields): void;
}

const MAX_LISTED = 20;

/** @param enabled false writes nothing at all */
export function createAudit(log: Logger, enabled: boolean): Audit {
  if (!enabled) return { call: () => {}, event: () => {} };
  const line = (event: AuditEvent, fields: Record<string, unknown>) =>
    log.info(event === 'rpc' ? 'rpc' : event, { type: 'audit', event, ...fields });
  return {
    event: (event, fields) => line(event, bounded(fields)),
    call(call) {
      const { requestId, method, status, message, milliseconds } = call;
      line('rpc', {
        request_id: requestId,
        method,
        status,
        ...(message === '' ? {} : { status_message: message }),
        milliseconds: Math.round(milliseconds),
        ...describeCaller(call.caller),
        ...bounded(call.fields),
      });
    },
  };
}

export function describeCaller(caller: Caller): Record<string, unknown> {
  if (caller.via === 'unix') {
    return { caller_uid: caller.uid, caller_gid: caller.gid, caller_pid: caller.pid };
  }
  const claimed = caller.svid?.id;
  return claimed === undefined
    ? { caller_addr: caller.address }
    : { caller_addr: caller.address, caller_id: claimed };
}

/** Lists are cut, so that one call with 500 items does not fill the log. */
function bounded(fields: AuditFields): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    out[name] = typeof value === 'object' ? value.slice(0, MAX_LISTED) : value;
  }
  return out;
}
