import { TouchmarkError } from '../../errors.js';
import { AllowHostsResponseSchema } from '../../wire/gen/touchmark/host/v1/host_pb.js';
import { readText } from '../read-file.js';
import type { Verb, VerbContext } from '../verb.js';
import { readAllowList } from './allow-list.js';
import { failures, json, serverFlags, withServer } from './connect.js';
import { count } from './entry-view.js';
import { findHost, labelFlag, nameFlag, readLabels, showHost } from './host-find.js';

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

/** How hosts come in: beforehand, by approval, or in the place of another. */
export const enrolVerbs: readonly Verb[] = [allow, approve, deny, replace];
