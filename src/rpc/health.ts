import { create } from '@bufbuild/protobuf';
import { TouchmarkError } from '../errors.js';
import {
  type Health,
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus,
  HealthCheckResponseSchema,
  HealthListResponseSchema,
} from '../wire/gen/grpc/health_pb.js';
import type { Call, ServiceImpl } from './call.js';

/** What grpc.health.v1 answers for one service; the empty name stands for the process. */
export interface HealthState {
  /** undefined: no such service. */
  serving(service: string): boolean | undefined;
  services(): Iterable<string>;
  /** After any of it changed. */
  onChange(listener: () => void): () => void;
}

const { SERVING, NOT_SERVING, SERVICE_UNKNOWN } = HealthCheckResponse_ServingStatus;

export function healthService<C>(state: HealthState): ServiceImpl<typeof Health, C> {
  return {
    async check(request) {
      const serving = state.serving(request.service);
      if (serving === undefined) throw unknownService(request.service);
      return answer(serving);
    },
    async list() {
      const statuses: Record<string, HealthCheckResponse> = {};
      for (const name of state.services()) statuses[name] = answer(state.serving(name));
      return create(HealthListResponseSchema, { statuses });
    },
    watch: (request, call) => watch(state, request.service, call),
  };
}

/** The state now, then each change of it. */
async function* watch<C>(
  state: HealthState,
  service: string,
  call: Call<C>,
): AsyncGenerator<HealthCheckResponse> {
  let wake: (() => void) | undefined;
  const stir = () => wake?.();
  const stop = state.onChange(stir);
  call.signal.addEventListener('abort', stir, { once: true });
  try {
    let told: number | undefined;
    while (!call.signal.aborted) {
      const next = answer(state.serving(service));
      if (next.status !== told) {
        told = next.status;
        yield next;
        continue;
      }
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  } finally {
    stop();
  }
}

function answer(serving: boolean | undefined): HealthCheckResponse {
  const status = serving === undefined ? SERVICE_UNKNOWN : serving ? SERVING : NOT_SERVING;
  return create(HealthCheckResponseSchema, { status });
}

function unknownService(service: string): TouchmarkError {
  return new TouchmarkError('health_unknown', `no service ${JSON.stringify(service.slice(0, 100))} here`);
}
