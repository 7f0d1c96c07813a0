import { TouchmarkError } from '../../errors.js';
import type { Interceptor } from '../../rpc/call.js';
import type { WorkloadCaller } from './caller.js';

/** Bounds the calls that one user has running, so that nobody can take the socket away from the others. */
export function limitPerUser(most: number): Interceptor<WorkloadCaller> {
  const running = new Map<number, number>();
  const counted = new WeakSet<object>();
  return {
    before(call) {
      const { uid } = call.caller.workload;
      const count = running.get(uid) ?? 0;
      if (count >= most) {
        throw new TouchmarkError('too_many_streams', `user ${uid} has ${count} calls running already`);
      }
      running.set(uid, count + 1);
      counted.add(call);
    },
    after(call) {
      if (!counted.has(call)) return;
      const { uid } = call.caller.workload;
      const count = (running.get(uid) ?? 1) - 1;
      if (count === 0) running.delete(uid);
      else running.set(uid, count);
    },
  };
}
