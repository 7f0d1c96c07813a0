import type { DescService } from '@bufbuild/protobuf';
import { unixChannel } from '../../rpc/channel.js';
import type { RpcClient } from '../../rpc/client.js';
import { RpcError } from '../../rpc/rpc-error.js';
import { parseSpiffeId, pathOf, trustDomainOf } from '../../spiffe/id.js';
import { parseSelector } from '../../spiffe/selector.js';
import { Health } from '../../wire/gen/grpc/health_pb.js';
import { Agent } from '../../wire/gen/spire/server/agent_pb.js';
import { Bundle } from '../../wire/gen/spire/server/bundle_pb.js';
import { Debug } from '../../wire/gen/spire/server/debug_pb.js';
import { Entry } from '../../wire/gen/spire/server/entry_pb.js';
import { LocalAuthority } from '../../wire/gen/spire/server/localauthority_pb.js';
import { Logger } from '../../wire/gen/spire/server/logger_pb.js';
import { SVID } from '../../wire/gen/spire/server/svid_pb.js';
import { TrustDomain } from '../../wire/gen/spire/server/trustdomain_pb.js';
import type { SPIFFEID, Status } from '../../wire/gen/spire/types_pb.js';
import { Audit } from '../../wire/gen/touchmark/audit/v1/audit_pb.js';
import { Deny } from '../../wire/gen/touchmark/deny/v1/deny_pb.js';
import { Evidence } from '../../wire/gen/touchmark/evidence/v1/evidence_pb.js';
import { Host } from '../../wire/gen/touchmark/host/v1/host_pb.js';
import { Measurement } from '../../wire/gen/touchmark/measure/v1/measure_pb.js';
import { boundedClient, unreachable } from '../call-defaults.js';
import { instancePath } from '../instance.js';
import type { Flag, VerbContext } from '../verb.js';

export { json } from '../wire-json.js';

/** Flags by which every verb finds the server. */
export const serverFlags: readonly Flag[] = [
  {
    name: 'socketPath',
    type: 'string',
    doc: "The server's Unix socket.",
    default: '/run/touchmark/server/api.sock',
    env: ['TOUCHMARK_SERVER_SOCKET', 'SPIRE_SERVER_PRIVATE_SOCKET'],
  },
  {
    name: 'instance',
    type: 'string',
    doc: 'Name put for %i into $TOUCHMARK_SERVER_SOCKET_TEMPLATE, to reach one of several servers.',
  },
];

export interface ServerApi {
  readonly agent: RpcClient<typeof Agent>;
  readonly audit: RpcClient<typeof Audit>;
  readonly bundle: RpcClient<typeof Bundle>;
  readonly debug: RpcClient<typeof Debug>;
  readonly deny: RpcClient<typeof Deny>;
  readonly entry: RpcClient<typeof Entry>;
  readonly evidence: RpcClient<typeof Evidence>;
  readonly health: RpcClient<typeof Health>;
  readonly host: RpcClient<typeof Host>;
  readonly localAuthority: RpcClient<typeof LocalAuthority>;
  readonly logger: RpcClient<typeof Logger>;
  readonly measurement: RpcClient<typeof Measurement>;
  readonly svid: RpcClient<typeof SVID>;
  readonly trustDomain: RpcClient<typeof TrustDomain>;
}

/** Opens the server's API for the length of one verb. */
export async function withServer<T>(context: VerbContext, use: (api: ServerApi) => Promise<T>): Promise<T> {
  const path = socketPath(context);
  const channel = unixChannel(path);
  const client = <S extends DescService>(service: S) => boundedClient(service, channel, context.signal);
  try {
    return await use({
      agent: client(Agent),
      audit: client(Audit),
      bundle: client(Bundle),
      debug: client(Debug),
      deny: client(Deny),
      entry: client(Entry),
      evidence: client(Evidence),
      health: client(Health),
      host: client(Host),
      localAuthority: client(LocalAuthority),
      logger: client(Logger),
      measurement: client(Measurement),
      svid: client(SVID),
      trustDomain: client(TrustDomain),
    });
  } catch (error) {
    throw unreachable('server_unreachable', `a server at ${path}`, error);
  } finally {
    channel.close();
  }
}

/** @throws TouchmarkError `spiffe_id_invalid` */
export function idMessage(text: string): { trustDomain: string; path: string } {
  const id = parseSpiffeId(text);
  return { trustDomain: trustDomainOf(id), path: pathOf(id) };
}

export function idText(id: SPIFFEID | undefined): string {
  return id ? `spiffe://${id.trustDomain}${id.path}` : '';
}

export function selectorMessages(texts: readonly string[]): { type: string; value: string }[] {
  return texts.map((text) => parseSelector(text));
}

/** Follows `nextPageToken` to the end. */
export async function allPages<T>(fetch: (pageToken: string) => Promise<[T[], string]>): Promise<T[]> {
  const all: T[] = [];
  let token = '';
  do {
    const [page, next] = await fetch(token);
    all.push(...page);
    token = next;
  } while (token !== '');
  return all;
}

/** The failed items of a batch answer, each with its sentence. */
export function failures(results: readonly { status?: Status | undefined }[]): string[] {
  return results.flatMap(({ status }, index) =>
    status && status.code !== 0
      ? [
          `${results.length > 1 ? `item ${index + 1}: ` : ''}${status.message} (${new RpcError(status.code, '').rpc})`,
        ]
      : [],
  );
}

/** What the server remarks on items that it accepted, such as weak selectors. */
export function remarks(results: readonly { status?: Status | undefined }[]): string[] {
  return results.flatMap(({ status }, index) =>
    status?.code === 0 && !['', 'OK'].includes(status.message)
      ? [`${results.length > 1 ? `item ${index + 1}: ` : ''}${status.message}`]
      : [],
  );
}

/** RFC 3339, or `never` for 0. */
export function timeText(unixSeconds: bigint | number): string {
  const seconds = Number(unixSeconds);
  return seconds === 0 ? 'never' : new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}

function socketPath(context: VerbContext): string {
  const variables = ['TOUCHMARK_SERVER_SOCKET_TEMPLATE', 'SPIRE_SERVER_PRIVATE_SOCKET_TEMPLATE'] as const;
  return instancePath(context, variables) ?? context.flags.string('socketPath');
}
