/** Which path answers what. Nothing here knows of sockets: a room adds its routes to a table and tests them without one. */
import { createHash } from 'node:crypto';

export interface WebRequest {
  readonly method: string;
  /** As it was sent, without the query: never decoded, so that nothing is decoded twice. */
  readonly path: string;
  /** The If-None-Match header. */
  readonly ifNoneMatch?: string | undefined;
}

export interface WebResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** What a route has to show: its bytes, their kind, and for how many seconds a cache may keep them. */
export interface WebContent {
  readonly type: string;
  readonly body: Uint8Array;
  readonly maxAge: number;
}

/** Undefined: there is nothing under this path. `rest` is what follows the path of a route that ends in a slash. */
export type WebHandler = (rest: string) => WebContent | undefined;

export interface Routes {
  /** An exact path, or all below one that ends in a slash. @throws Error when the path is taken */
  add(path: string, handler: WebHandler): void;
  answer(request: WebRequest): WebResponse;
}

const shared = { 'x-content-type-options': 'nosniff' } as const;

export function createRoutes(): Routes {
  const handlers = new Map<string, WebHandler>();
  const etags = new WeakMap<Uint8Array, string>();
  return {
    add(path, handler) {
      if (handlers.has(path)) throw new Error(`two routes for ${path}`);
      handlers.set(path, handler);
    },
    answer(request) {
      const content = find(handlers, request.path);
      if (content === undefined) return plain(404, 'there is nothing here');
      const { method } = request;
      if (method !== 'GET' && method !== 'HEAD')
        return plain(405, 'this can only be read', { allow: 'GET, HEAD' });
      return show(content, etagOf(etags, content.body), request);
    },
  };
}

function find(handlers: ReadonlyMap<string, WebHandler>, path: string): WebContent | undefined {
  const exact = handlers.get(path);
  if (exact !== undefined && !path.endsWith('/')) return exact('');
  const slash = path.lastIndexOf('/') + 1;
  return handlers.get(path.slice(0, slash))?.(path.slice(slash));
}

function show(
  { type, body, maxAge }: WebContent,
  etag: string,
  { method, ifNoneMatch }: WebRequest,
): WebResponse {
  const caching = { etag, 'cache-control': `max-age=${maxAge}` };
  if (ifNoneMatch !== undefined && matches(ifNoneMatch, etag)) {
    return { status: 304, headers: { ...shared, ...caching }, body: new Uint8Array() };
  }
  const headers = { ...shared, ...caching, 'content-type': type, 'content-length': String(body.length) };
  return { status: 200, headers, body: method === 'HEAD' ? new Uint8Array() : body };
}

/** Worked out once for the same bytes. */
function etagOf(known: WeakMap<Uint8Array, string>, body: Uint8Array): string {
  const etag = known.get(body) ?? `"${createHash('sha256').update(body).digest('base64url').slice(0, 27)}"`;
  known.set(body, etag);
  return etag;
}

/** RFC 9110 section 13.1.2: a list, compared weakly. */
function matches(ifNoneMatch: string, etag: string): boolean {
  if (ifNoneMatch.trim() === '*') return true;
  return ifNoneMatch.split(',').some((one) => one.trim().replace(/^W\//, '') === etag);
}

export function plain(
  status: number,
  text: string,
  more: Readonly<Record<string, string>> = {},
): WebResponse {
  const body = Buffer.from(`${text}\n`);
  const headers = {
    ...shared,
    ...more,
    'content-type': 'text/plain; charset=utf-8',
    'content-length': String(body.length),
    'cache-control': 'no-store',
  };
  return { status, headers, body };
}
