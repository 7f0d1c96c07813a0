import { create } from '@bufbuild/protobuf';
import { TouchmarkError } from '../../errors.js';
import {
  AllowHostsResponseSchema,
  type HostRecord,
  HostRecordSchema,
  ListHostsResponseSchema,
} from '../../wire/gen/touchmark/host/v1/host_pb.js';
import { readText } from '../read-file.js';
import type { Argument, Flag, Verb, VerbContext } from '../verb.js';
import { readAllowList } from './allow-list.js';
import { allPages, failures, json, type ServerApi, serverFlags, withServer } from './connect.js';
import { count } from './entry-view.js';
import { hostsTable, hostText, stateOf, stateWords } from './host-view.js';

const hostArgument: Argument = {
  name: 'HOST',
  doc: 'Its name, or the hash of one of its endorsement keys (a unique beginning will do).',
};
const nameFlag: Flag = { name: 'name', type: 'string', doc: 'A name for the host.', aliases: ['n'] };
const labelFlag: Flag = {
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

async function allHosts(api: ServerApi, filter = {}): Promise<HostRecord[]> {
  return allPages(async (pageToken) => {
    const page = await api.host.listHosts({ filter, pageSize: 500, pageToken });
    return [page.hosts, page.nextPageToken];
  });
}

/** The one host that a person means. */
async function findHost(api: ServerApi, word: string): Promise<HostRecord> {
  if (/^[0-9a-f]{64}$/.test(word)) return api.host.getHost({ by: { case: 'ekHash', value: word } });
  const hosts = await allHosts(api);
  const found = hosts.filter(
    (host) => host.name === word || (word.length >= 6 && host.eks.some((ek) => ek.hash.startsWith(word))),
  );
  const [host] = found;
  if (!host) throw new TouchmarkError('host_unknown', `no host is called ${JSON.stringify(word)}`);
  if (found.length > 1)
    throw new TouchmarkError('host_unknown', `${word} fits ${found.length} hosts; write more of it`);
  return host;
}

function showHost({ out }: VerbContext, host: HostRecord): number {
  out.result({ pretty: hostText(host), json: json(HostRecordSchema, host) });
  return 0;
}

const list: Verb = {
  name: 'host list',
  summary: 'List hosts with a TPM, those that wait for approval included.',
  example: 'touchmark-server host list -state pending',
  flags: [
    {
      name: 'state',
      type: 'strings',
      doc: `Only hosts in this state: ${stateWords.join(', ')}.`,
      choices: stateWords,
    },
    { ...labelFlag, doc: 'Only hosts with this label, key=value.' },
    ...serverFlags,
  ],
  run: (context) =>
    withServer(context, async (api) => {
      const states = context.flags.strings('state').flatMap((word) => stateOf(word) ?? []);
      const hosts = await allHosts(api, { states, labels: readLabels(context.flags.strings('label')) });
      const response = create(ListHostsResponseSchema, { hosts });
      context.out.result({ pretty: hostsTable(hosts), json: json(ListHostsResponseSchema, response) });
      return 0;
    }),
};

const show: Verb = {
  name: 'host show',
  summary: 'Show what is recorded of a host.',
  example: 'touchmark-server host show web-1',
  flags: serverFlags,
  args: [hostArgument],
  run: (context) =>
    withServer(context, async (api) => showHost(context, await findHost(api, context.args[0] ?? ''))),
};

const allow: Verb = {
  name: 'host allow',
  summary: 'Let chips in before they call, by the hash of their endorsement key.',
  example: 'touchmark-server host allow 5f4f4e37a35ed4d1… -name web-1 -label rack=r7',
  flags: [
    {
      name: 'f',
      type: 'string',
      doc: 'List: one hash a line, then a name and labels key=value; - for standard input.',
    },
    nameFlag,
    labelFlag,
    ...serverFlags,
  ],
  args: [
    { name: 'EK-HASH', doc: 'Hex SHA-256 of the key, as `touchmark inspect tpm` shows it.', optional: true },
  ],
  run: (context) =>
    withServer(context, async (api) => {
      const hosts = await allowed(context);
      const response = await api.host.allowHosts({ hosts });
      for (const line of failures(response.results)) context.out.note(line);
      const failed = failures(response.results).length;
      context.out.result({
        pretty: `Allowed ${count(hosts.length - failed, 'host', 'hosts')}`,
        json: json(AllowHostsResponseSchema, response),
      });
      return failed > 0 ? 1 : 0;
    }),
};

async function allowed(context: VerbContext) {
  const { flags, args } = context;
  const path = flags.string('f');
  if ((args[0] === undefined) === (path === '')) {
    throw new TouchmarkError('flag_invalid', 'give either an EK-HASH or -f LIST');
  }
  const labels = readLabels(flags.strings('label'));
  if (args[0] !== undefined) return [{ ekHash: args[0], name: flags.string('name'), labels }];
  const text = await readText(context, path);
  return readAllowList(path, text).map((row) => ({ ...row, labels: { ...labels, ...row.labels } }));
}

const approve: Verb = {
  name: 'host approve',
  summary: 'Let in a host that waits, by the code that it shows or by its hash.',
  example: 'touchmark-server host approve K7QF-2M4D -name web-1',
  flags: [nameFlag, labelFlag, ...serverFlags],
  args: [{ name: 'CODE', doc: 'The code from the host’s log, or the full hash of its endorsement key.' }],
  run: (context) =>
    withServer(context, async (api) => {
      const word = context.args[0] ?? '';
      const host = await api.host.approveHost({
        by: by(word),
        name: context.flags.string('name'),
        labels: readLabels(context.flags.strings('label')),
      });
      context.out.note(`approved the chip with endorsement key ${host.id}`);
      return showHost(context, host);
    }),
};

function by(word: string): { case: 'id' | 'code'; value: string } {
  return /^[0-9a-f]{64}$/.test(word) ? { case: 'id', value: word } : { case: 'code', value: word };
}

const deny: Verb = {
  name: 'host deny',
  summary: 'Turn away a host that waits.',
  example: 'touchmark-server host deny K7QF-2M4D',
  flags: serverFlags,
  args: [{ name: 'CODE', doc: 'Its code or full hash.' }],
  run: (context) =>
    withServer(context, async (api) => {
      await api.host.denyHost({ by: by(context.args[0] ?? '') });
      context.out.result({ pretty: 'Denied', json: {} });
      return 0;
    }),
};

const replace: Verb = {
  name: 'host replace',
  summary: 'Give a broken host’s name, labels and entries to its successor.',
  example: 'touchmark-server host replace web-1 8ab2…',
  flags: serverFlags,
  args: [
    { name: 'OLD', doc: 'The host that goes.' },
    { name: 'NEW', doc: 'The host that takes its place.' },
  ],
  run: (context) =>
    withServer(context, async (api) => {
      const [oldHost, newHost] = [context.args[0] ?? '', context.args[1] ?? ''];
      const [old, successor] = [await findHost(api, oldHost), await findHost(api, newHost)];
      return showHost(context, await api.host.replaceHost({ oldHost: old.id, newHost: successor.id }));
    }),
};

const forget: Verb = {
  name: 'host forget',
  summary: 'Forget a host: it must be enrolled anew.',
  example: 'touchmark-server host forget web-1',
  flags: serverFlags,
  args: [hostArgument],
  run: (context) =>
    withServer(context, async (api) => {
      const host = await findHost(api, context.args[0] ?? '');
      await api.host.forgetHost({ id: host.id });
      context.out.result({ pretty: `Forgot ${host.id}`, json: { id: host.id } });
      return 0;
    }),
};

const set: Verb = {
  name: 'host set',
  summary: 'Change the name or the labels of a host.',
  example: 'touchmark-server host set web-1 -label rack=r9 -removeLabel old',
  flags: [
    nameFlag,
    labelFlag,
    { name: 'removeLabel', type: 'strings', doc: 'A label to take off.' },
    ...serverFlags,
  ],
  args: [hostArgument],
  run: (context) =>
    withServer(context, async (api) => {
      const { flags } = context;
      const { id } = await findHost(api, context.args[0] ?? '');
      const name = flags.has('name') ? { name: flags.string('name') } : {};
      const labels = readLabels(flags.strings('label'));
      const removeLabels = [...flags.strings('removeLabel')];
      return showHost(context, await api.host.setHost({ id, labels, removeLabels, ...name }));
    }),
};

const quarantine: Verb = {
  name: 'host quarantine',
  summary: 'Take a host’s identities away until it is released.',
  example: 'touchmark-server host quarantine web-1 -reason "disk was pulled"',
  flags: [
    { name: 'reason', type: 'string', doc: 'Why, for those who ask later.', required: true },
    ...serverFlags,
  ],
  args: [hostArgument],
  run: (context) =>
    withServer(context, async (api) => {
      const { id } = await findHost(api, context.args[0] ?? '');
      return showHost(context, await api.host.quarantineHost({ id, reason: context.flags.string('reason') }));
    }),
};

const release: Verb = {
  name: 'host release',
  summary: 'End a quarantine.',
  example: 'touchmark-server host release web-1',
  flags: serverFlags,
  args: [hostArgument],
  run: (context) =>
    withServer(context, async (api) => {
      const { id } = await findHost(api, context.args[0] ?? '');
      return showHost(context, await api.host.releaseHost({ id }));
    }),
};

export const hostVerbs: readonly Verb[] = [
  list,
  show,
  allow,
  approve,
  deny,
  replace,
  forget,
  set,
  quarantine,
  release,
];
