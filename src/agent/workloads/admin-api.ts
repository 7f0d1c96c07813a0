import { create } from '@bufbuild/protobuf';
import type { Clock } from '../../clock.js';
import { TouchmarkError } from '../../errors.js';
import type { Logger as Log } from '../../log.js';
import type { ServiceImpl } from '../../rpc/call.js';
import { pathOf, trustDomainOf } from '../../spiffe/id.js';
import { type Debug, GetInfoResponseSchema } from '../../wire/gen/spire/agent/debug_pb.js';
import type { Logger } from '../../wire/gen/spire/agent/logger_pb.js';
import { LoggerSchema } from '../../wire/gen/spire/types_pb.js';
import { logLevelFromWire, logLevelToWire } from '../../wire/log-level.js';
import type { IdentityStore } from '../contract.js';
import type { WorkloadCaller } from './caller.js';

/** spire.agent.debug.v1: what the agent holds, in numbers. */
export function debugService(
  store: IdentityStore,
  clock: Clock,
  startedAt: number,
): ServiceImpl<typeof Debug, WorkloadCaller> {
  return {
    async getInfo() {
      const { id, svidExpiresAt, lastContact } = store.status;
      const held = [...store.entries().keys()].filter((entry) => store.look(entry).identity).length;
      return create(GetInfoResponseSchema, {
        uptime: Math.floor((clock.now() - startedAt) / 1000),
        lastSyncSuccess: BigInt(Math.floor(lastContact / 1000)),
        svidsCount: held,
        cachedX509SvidsCount: held,
        svidChain: id
          ? [{ id: { trustDomain: trustDomainOf(id), path: pathOf(id) }, expiresAt: BigInt(svidExpiresAt) }]
          : [],
      });
    },
  };
}

/** spire.api.agent.logger.v1: the level, until the next start. */
export function loggerService(log: Log): ServiceImpl<typeof Logger, WorkloadCaller> {
  const launch = log.level;
  const answer = () =>
    create(LoggerSchema, { currentLevel: logLevelToWire[log.level], launchLevel: logLevelToWire[launch] });
  return {
    async getLogger() {
      return answer();
    },
    async setLogLevel({ newLevel }) {
      const level = logLevelFromWire(newLevel);
      if (!level) throw new TouchmarkError('log_level_invalid', `log level ${newLevel} is not known`);
      log.level = level;
      return answer();
    },
    async resetLogLevel() {
      log.level = launch;
      return answer();
    },
  };
}
