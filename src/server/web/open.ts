import type { Clock } from '../../clock.js';
import type { WebConfig } from '../../config/server-config.js';
import type { Disposal } from '../../disposal.js';
import type { Logger } from '../../log.js';
import type { Deny } from '../deny/open.js';
import { denyRoutes } from '../deny/routes.js';
import type { ServerSvid } from '../server-svid.js';
import { readCertificateFiles, watchCertificateFiles } from './certificate-files.js';
import { listenForRelyingParties, type WebListener } from './listener.js';
import { createRoutes, type Routes } from './routes.js';

export interface WebParts {
  readonly config: { readonly web?: WebConfig };
  readonly clock: Clock;
  readonly log: Logger;
  readonly serverSvid: ServerSvid;
  readonly deny: Deny;
}

/** Everything that relying parties may fetch; a room that has something to publish adds its routes here. */
export function webRoutes({ deny }: Pick<WebParts, 'deny'>): Routes {
  const routes = createRoutes();
  denyRoutes(routes, deny.publisher);
  return routes;
}

/**
 * Listens if the configuration says so.
 * @throws TouchmarkError `web_socket_failed`, `web_certificate_invalid`
 */
export async function openWeb(parts: WebParts, disposal: Disposal): Promise<WebListener | undefined> {
  const { config, log, serverSvid } = parts;
  if (config.web === undefined) return undefined;
  const { bindAddress: host, bindPort: port, certFile, keyFile } = config.web;
  const files = certFile === undefined || keyFile === undefined ? undefined : { certFile, keyFile };
  const identity = files === undefined ? serverSvid.identity() : await readCertificateFiles(files);
  const listener = disposal.use(
    await listenForRelyingParties({ host, port, identity, routes: webRoutes(parts), log }),
  );
  if (files === undefined) disposal.defer(serverSvid.onChange(() => listener.rotate(serverSvid.identity())));
  else disposal.use(watchCertificateFiles(files, parts, (renewed) => listener.rotate(renewed)));
  log.info('relying parties are served over HTTPS', { host, port: listener.port });
  return listener;
}
