import assert from 'node:assert/strict';
import type { DescService, MessageInitShape } from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { status } from '@grpc/grpc-js';
import type { RpcCode } from '../../../src/errors.js';
import type { RpcChannel } from '../../../src/rpc/channel.js';
import { createRpcClient, type RpcClient } from '../../../src/rpc/client.js';
import { RpcError } from '../../../src/rpc/rpc-error.js';
import { Entry } from '../../../src/wire/gen/spire/server/entry_pb.js';
import {
  type EntrySchema,
  PermissionDeniedDetails_Reason,
  PermissionDeniedDetailsSchema,
  type SPIFFEID,
} from '../../../src/wire/gen/spire/types_pb.js';
import {
  agentChannel,
  attestJoinToken,
  operatorChannel,
  startTestServer,
  type TestAgent,
  type TestServer,
  type TestServerOptions,
} from '../../fakes/test-server.js';

/** Fields of an entry, without the marks of a message that `MessageInitShape` may carry. */
export type EntryInit = Omit<
  Exclude<MessageInitShape<typeof EntrySchema>, { readonly $typeName: string }>,
  '$typeName'
>;

/** A server with one operator and, when asked for, agents; everything ends with the test. */
export interface Stage {
  readonly server: TestServer;
  operator<S extends DescService>(service: S): RpcClient<S>;
  anonymous<S extends DescService>(service: S): RpcClient<S>;
  agent(token?: Parameters<typeof attestJoinToken>[1]): Promise<TestAgent>;
  as<S extends DescService>(agent: Pick<TestAgent, 'channel'>, service: S): RpcClient<S>;
  /** Creates entries and fails unless all were made; gives their IDs. */
  entries(...entries: EntryInit[]): Promise<string[]>;
  /** A channel with an SVID that the server issued for an entry below an agent. */
  workload(agent: TestAgent, entry: EntryInit): Promise<{ channel: RpcChannel }>;
  onEnd(task: () => void): void;
}

export async function stage(
  t: { after(task: () => Promise<void>): void },
  options: TestServerOptions = {},
): Promise<Stage> {
  const server = await startTestServer(options);
  const operator = operatorChannel(server);
  const nobody = agentChannel(server);
  const ends = [() => operator.close(), () => nobody.close()];
  t.after(async () => {
    for (const end of ends) end();
    await server.stop();
  });
  const made: Stage = {
    server,
    operator: (service) => createRpcClient(service, operator),
    anonymous: (service) => createRpcClient(service, nobody),
    as: ({ channel }, service) => createRpcClient(service, channel),
    onEnd: (task) => void ends.push(task),
    async agent(token) {
      const agent = await attestJoinToken(server, token);
      ends.push(() => agent.channel.close());
      return agent;
    },
    async entries(...entries) {
      const { results } = await made.operator(Entry).batchCreateEntry({ entries });
      for (const { status: one } of results) assert.equal(one?.code, 0, one?.message);
      return results.map(({ entry }) => entry?.id ?? '');
    },
    workload: (agent, entry) => workloadOf(made, agent, entry),
  };
  return made;
}

async function workloadOf(on: Stage, agent: TestAgent, entry: EntryInit): Promise<{ channel: RpcChannel }> {
  const { SVID } = await import('../../../src/wire/gen/spire/server/svid_pb.js');
  const { buildCsr } = await import('../../../src/x509/csr.js');
  const { newKey } = await import('../../fakes/test-server.js');
  const [entryId = ''] = await on.entries({
    parentId: wireId(agent.id),
    selectors: [selector('unix:uid:0')],
    ...entry,
  });
  const key = newKey();
  const { results } = await on
    .as(agent, SVID)
    .batchNewX509SVID({ params: [{ entryId, csr: buildCsr({ key }) }] });
  const chain = results[0]?.svid?.certChain ?? [];
  assert.ok(chain.length > 0, results[0]?.status?.message);
  const channel = agentChannel(on.server, { key, chain });
  on.onEnd(() => channel.close());
  return { channel };
}

export function wireId(id: string): { trustDomain: string; path: string } {
  const [, , trustDomain = '', ...path] = id.split('/');
  return { trustDomain, path: path.map((part) => `/${part}`).join('') };
}

export function textId(id: SPIFFEID | undefined): string {
  return id === undefined ? '' : `spiffe://${id.trustDomain}${id.path}`;
}

export function selector(text: string): { type: string; value: string } {
  const colon = text.indexOf(':');
  return { type: text.slice(0, colon), value: text.slice(colon + 1) };
}

/** An entry of the test's domain: `entry('/web', agent.id, 'unix:uid:1')`. */
export function entry(path: string, parent: string, ...selectors: string[]): EntryInit {
  return {
    spiffeId: { trustDomain: 'example.org', path },
    parentId: wireId(parent),
    selectors: (selectors.length === 0 ? ['unix:uid:0'] : selectors).map(selector),
  };
}

/** Asserts that a call fails with this status and words; gives the error. */
export async function refused(call: Promise<unknown>, code: RpcCode, message: RegExp): Promise<RpcError> {
  try {
    await call;
  } catch (error) {
    assert.ok(error instanceof RpcError, String(error));
    assert.equal(status[error.status], code, error.message);
    assert.match(error.message, message);
    return error;
  }
  assert.fail(`expected ${code} ${message}`);
}

/** The reason that SPIRE's agents read out of a refusal. */
export function reasonOf(error: RpcError): string | undefined {
  for (const detail of error.details) {
    const read = anyUnpack(detail, PermissionDeniedDetailsSchema);
    if (read === undefined) continue;
    return Object.entries(PermissionDeniedDetails_Reason).find(([, number]) => number === read.reason)?.[0];
  }
  return undefined;
}

export async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}
