import { create } from '@bufbuild/protobuf';
import { ListHostsResponseSchema } from '../../wire/gen/touchmark/host/v1/host_pb.js';
import type { Verb } from '../verb.js';
import { json, serverFlags, withServer } from './connect.js';
import { hostExplain } from './host-explain.js';
import { allHosts, findHost, hostArgument, labelFlag, nameFlag, readLabels, showHost } from './host-find.js';
import { hostsTable, stateOf, stateWords } from './host-view.js';

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
  summary: 'End a quarantine, a suspicion or a ban.',
  example: 'touchmark-server host release web-1',
  flags: serverFlags,
  args: [hostArgument],
  run: (context) =>
    withServer(context, async (api) => {
      const { id } = await findHost(api, context.args[0] ?? '');
      return showHost(context, await api.host.releaseHost({ id }));
    }),
};

const retire: Verb = {
  name: 'host retire',
  summary: 'Take a host out of service for good: its chip is never let in again.',
  example: 'touchmark-server host retire web-1 -reason "sold"',
  flags: [{ name: 'reason', type: 'string', doc: 'Why, for those who ask later.' }, ...serverFlags],
  args: [hostArgument],
  run: (context) =>
    withServer(context, async (api) => {
      const { id } = await findHost(api, context.args[0] ?? '');
      return showHost(context, await api.host.retireHost({ id, reason: context.flags.string('reason') }));
    }),
};

export const hostVerbs: readonly Verb[] = [list, show, hostExplain, set, quarantine, release, retire, forget];
