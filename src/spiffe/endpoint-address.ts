import { TouchmarkError } from '../errors.js';

/** Where a Workload API listens. */
export type EndpointAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

/** The variable that names the endpoint when nothing else does (Workload Endpoint section 4). */
export const endpointVariable = 'SPIFFE_ENDPOINT_SOCKET';

/** An option wins over the environment; neither is an error. @throws TouchmarkError `endpoint_address_invalid` */
export function findEndpoint(
  option: string | undefined,
  fromEnvironment: string | undefined,
): EndpointAddress {
  const text = option ?? fromEnvironment;
  if (text === undefined) {
    throw new TouchmarkError(
      'endpoint_address_invalid',
      `no address is given and ${endpointVariable} is not set`,
    );
  }
  return parseEndpointAddress(text);
}

/**
 * Reads `unix:///path` (or `unix:/path`) or `tcp://IP:PORT`, with nothing else in it (Workload Endpoint section 4).
 * @throws TouchmarkError `endpoint_address_invalid`
 */
export function parseEndpointAddress(text: string): EndpointAddress {
  if (/[?#\s]/.test(text)) throw invalid(text, 'it has a query, a fragment or white space');
  if (text.startsWith('unix:')) return unixAddress(text);
  if (text.startsWith('tcp:')) return tcpAddress(text);
  throw invalid(text, 'its scheme is neither unix nor tcp');
}

function unixAddress(text: string): EndpointAddress {
  const rest = text.slice('unix:'.length);
  const path = rest.startsWith('//') ? rest.slice(2) : rest;
  if (!path.startsWith('/')) throw invalid(text, 'its path is not absolute');
  if (path === '/' || path.startsWith('//') || path.includes('\0')) throw invalid(text, 'it names no socket');
  return { kind: 'unix', path };
}

function tcpAddress(text: string): EndpointAddress {
  const [, host = '', port = ''] = /^tcp:\/\/(\[[0-9A-Fa-f:.]+\]|[0-9.]+):([1-9]\d{0,4})$/.exec(text) ?? [];
  const bare = host.startsWith('[') ? host.slice(1, -1) : host;
  const good = host.startsWith('[') ? isIpv6(bare) : isIpv4(bare);
  if (!good || Number(port) > 65_535)
    throw invalid(text, 'a tcp address is an IP address and a port, nothing else');
  return { kind: 'tcp', host: bare, port: Number(port) };
}

function isIpv4(text: string): boolean {
  const parts = text.split('.');
  return parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255);
}

function isIpv6(text: string): boolean {
  const halves = text.split('::');
  if (halves.length > 2) return false;
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')));
  const last = groups.at(-1) ?? '';
  const dotted = last.includes('.');
  if (dotted && !isIpv4(last)) return false;
  const plain = dotted ? groups.slice(0, -1) : groups;
  const count = plain.length + (dotted ? 2 : 0);
  const goodGroups = plain.every((group) => /^[0-9A-Fa-f]{1,4}$/.test(group));
  return goodGroups && (halves.length === 2 ? count < 8 : count === 8);
}

function invalid(text: string, why: string): TouchmarkError {
  return new TouchmarkError(
    'endpoint_address_invalid',
    `endpoint address ${JSON.stringify(text.slice(0, 200))}: ${why}`,
  );
}
