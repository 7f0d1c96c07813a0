import { TouchmarkError } from '../../errors.js';
import { type RpcChannel, unixChannel } from '../../rpc/channel.js';
import { parseEndpointAddress } from '../../spiffe/endpoint-address.js';
import { unreachable } from '../call-defaults.js';
import { instancePath } from '../instance.js';
import type { Flag, VerbContext } from '../verb.js';

export const workloadFlags: readonly Flag[] = [
  {
    name: 'socketPath',
    type: 'string',
    doc: 'The Workload API socket, a path or a unix:// address.',
    default: '/run/touchmark/agent/public/api.sock',
    env: ['SPIFFE_ENDPOINT_SOCKET', 'TOUCHMARK_AGENT_SOCKET'],
  },
  {
    name: 'instance',
    type: 'string',
    doc: 'Name put for %i into $TOUCHMARK_AGENT_SOCKET_TEMPLATE, to reach one of several agents.',
  },
];

export const adminFlags: readonly Flag[] = [
  {
    name: 'adminSocketPath',
    type: 'string',
    doc: "The agent's operators' socket.",
    default: '/run/touchmark/agent/admin/api.sock',
    env: ['TOUCHMARK_AGENT_ADMIN_SOCKET'],
    aliases: ['socketPath'],
  },
];

/** What every request to the Workload API carries. */
export const securityHeader = { 'workload.spiffe.io': 'true' };

/** The path of the Workload API socket, as the flag or SPIFFE_ENDPOINT_SOCKET name it. */
export function workloadSocket(context: VerbContext): string {
  const written =
    instancePath(context, ['TOUCHMARK_AGENT_SOCKET_TEMPLATE', 'SPIRE_AGENT_PUBLIC_SOCKET_TEMPLATE']) ??
    context.flags.string('socketPath');
  if (written.startsWith('/')) return written;
  const address = parseEndpointAddress(written);
  if (address.kind === 'unix') return address.path;
  throw new TouchmarkError('flag_invalid', `${written} is not a Unix socket: the agent serves no other`);
}

/** Opens a socket of the agent for the length of one verb. */
export async function withAgent<T>(path: string, use: (channel: RpcChannel) => Promise<T>): Promise<T> {
  const channel = unixChannel(path);
  try {
    return await use(channel);
  } catch (error) {
    throw unreachable('agent_unreachable', `an agent at ${path}`, error);
  } finally {
    channel.close();
  }
}
