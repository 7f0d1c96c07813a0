import { TouchmarkError } from '../../errors.js';
import { type HostRecord, HostRecordSchema } from '../../wire/gen/touchmark/host/v1/host_pb.js';
import type { Argument, Flag, VerbContext } from '../verb.js';
import { allPages, json, type ServerApi } from './connect.js';
import { hostText } from './host-view.js';

export const hostArgument: Argument = {
  name: 'HOST',
  doc: 'Its name, or the hash of one of its endorsement keys (a unique beginning will do).',
};
export const nameFlag: Flag = { name: 'name', type: 'string', doc: 'A name for the host.', aliases: ['n'] };
export const labelFlag: Flag = {
  name: 'label',
  type: 'strings',
  doc: 'A label, key=value; it becomes the selector host:label:key:value.',
};

/** @throws TouchmarkError `flag_invalid` */
export function readLabels(texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const equals = text.indexOf('=');
      if (equals < 1)
        throw new TouchmarkError('flag_invalid', `label ${JSON.stringify(text)} is not key=value`);
      return [text.slice(0, equals), text.slice(equals + 1)];
    }),
  );
}

export async function allHosts(api: ServerApi, filter = {}): Promise<HostRecord[]> {
  return allPages(async (pageToken) => {
    const page = await api.host.listHosts({ filter, pageSize: 500, pageToken });
    return [page.hosts, page.nextPageToken];
  });
}

/** The one host that a person means. */
export async function findHost(api: ServerApi, word: string): Promise<HostRecord> {
  if (/^[0-9a-f]{64}$/.test(word)) return api.host.getHost({ by: { case: 'ekHash', value: word } });
  const hosts = await allHosts(api);
  const found = hosts.filter(
    (host) =>
      host.name === word ||
      (word.length >= 6 &&
        [host.id, ...host.eks.map(({ hash }) => hash)].some((hash) => hash.startsWith(word))),
  );
  const [host] = found;
  if (!host) throw new TouchmarkError('host_unknown', `no host is called ${JSON.stringify(word)}`);
  if (found.length > 1)
    throw new TouchmarkError('host_unknown', `${word} fits ${found.length} hosts; write more of it`);
  return host;
}

export function showHost({ out }: VerbContext, host: HostRecord): number {
  out.result({ pretty: hostText(host), json: json(HostRecordSchema, host) });
  return 0;
}
