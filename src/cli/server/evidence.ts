import { ListEvidenceResponseSchema } from '../../wire/gen/touchmark/evidence/v1/evidence_pb.js';
import { offlineVerbs } from '../evidence/verbs.js';
import { table } from '../output.js';
import type { Verb } from '../verb.js';
import { json, serverFlags, withServer } from './connect.js';
import { fetchEvidence, writeEvidence } from './evidence-files.js';
import { findHost, hostArgument } from './host-find.js';

const list: Verb = {
  name: 'evidence list',
  summary: 'List the evidence that is kept of a host, the newest first.',
  example: 'touchmark-server evidence list web-1',
  flags: [{ name: 'limit', type: 'integer', doc: 'How many.', default: 20 }, ...serverFlags],
  args: [hostArgument],
  run: (context) =>
    withServer(context, async (api) => {
      const { id: hostId } = await findHost(api, context.args[0] ?? '');
      const limit = Math.max(1, context.flags.integer('limit'));
      const response = await api.evidence.listEvidence({ hostId, limit });
      const rows = response.evidence.map(({ id, atUnixMs, askedBy, verdict, boot, components }) => [
        id,
        new Date(Number(atUnixMs)).toISOString(),
        verdict,
        askedBy,
        boot,
        components.filter((text) => !text.endsWith('=pass')).join(' '),
      ]);
      const header = ['EVIDENCE', 'AT', 'VERDICT', 'BY', 'BOOT', 'COMPONENTS'];
      const pretty = rows.length === 0 ? 'No evidence.' : table(header, rows);
      context.out.result({ pretty, json: json(ListEvidenceResponseSchema, response) });
      return 0;
    }),
};

const exportVerb: Verb = {
  name: 'evidence export',
  summary: 'Write what a host showed to a directory: quote, logs, policy, verdict.',
  example: 'touchmark-server evidence export web-1 -o ./web-1',
  flags: [
    { name: 'id', type: 'string', doc: 'Which evidence, as `evidence list` shows it; absent: the newest.' },
    {
      name: 'dir',
      type: 'string',
      doc: 'The directory: a new one, or empty.',
      required: true,
      aliases: ['o'],
    },
    ...serverFlags,
  ],
  args: [hostArgument],
  run: (context) =>
    withServer(context, async (api) => {
      const { id } = await findHost(api, context.args[0] ?? '');
      const files = await fetchEvidence(api, id, context.flags.string('id'), context.signal);
      const directory = context.flags.string('dir');
      await writeEvidence(directory, files);
      const names = [...files].map(([name, bytes]) => `${name} (${bytes.length} bytes)`);
      context.out.result({
        pretty: `Wrote ${directory}: ${names.join(', ')}`,
        json: {
          directory,
          files: Object.fromEntries([...files].map(([name, bytes]) => [name, bytes.length])),
        },
      });
      return 0;
    }),
};

export const evidenceVerbs: readonly Verb[] = [list, exportVerb, ...offlineVerbs('touchmark-server')];
