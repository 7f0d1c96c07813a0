import { create } from '@bufbuild/protobuf';
import { compareText } from '../../spiffe/entry.js';
import { pathOf, trustDomainOf } from '../../spiffe/id.js';
import {
  type Deny as DenyApi,
  type GetPublicationResponse,
  GetPublicationResponseSchema,
  ListWithdrawalsResponseSchema,
} from '../../wire/gen/touchmark/deny/v1/deny_pb.js';
import type { Registry } from '../contract.js';
import { publicationFiles } from '../deny/files.js';
import type { Deny } from '../deny/open.js';
import type { Publication } from '../deny/publisher.js';
import type { ApiService } from './service.js';

export interface DenyApiDeps {
  readonly deny: Deny;
  readonly registry: Pick<Registry, 'host'>;
}

const PIECE = 512 * 1024;

/** `touchmark.deny.v1.Deny`: what was withdrawn and is published, read only; states of hosts and nodes make it. */
export function denyService({ deny, registry }: DenyApiDeps): ApiService<typeof DenyApi> {
  const { withdrawals, publisher } = deny;
  return {
    listWithdrawals: async () => {
      const records = [...withdrawals.all()].sort((a, b) => compareText(a.nodeId, b.nodeId));
      return create(ListWithdrawalsResponseSchema, {
        withdrawals: records.map(({ nodeId, hostId, issuedBefore, until, reasons }) => ({
          node: { trustDomain: trustDomainOf(nodeId), path: pathOf(nodeId) },
          hostId,
          hostName: registry.host(hostId)?.name ?? '',
          issuedBeforeUnixMs: BigInt(issuedBefore),
          untilUnixMs: BigInt(until),
          reasons: reasons.map(({ code, message }) => ({ code, message })),
          withdrawn: withdrawals.isWithdrawn(nodeId),
        })),
      });
    },
    getPublication: () => published(publisher.current()),
  };
}

/** In pieces: all of it together is larger than a message may be. */
async function* published(publication: Publication): AsyncGenerator<GetPublicationResponse> {
  const sequence = BigInt(publication.sequence);
  for (const { file, bytes } of publicationFiles(publication)) {
    for (let at = 0; at === 0 || at < bytes.length; at += PIECE) {
      yield create(GetPublicationResponseSchema, { sequence, file, data: bytes.subarray(at, at + PIECE) });
    }
  }
}
