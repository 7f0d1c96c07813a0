import { stringify } from 'yaml';
import { formatProblem, type Problem } from '../../config/problem.js';
import { TouchmarkError } from '../../errors.js';
import { hashOf } from '../../measure/policy/canonical.js';
import {
  ListObjectsResponseSchema,
  MeasureObjectSchema,
  type ObjectKind,
  SimulateResponseSchema,
} from '../../wire/gen/touchmark/measure/v1/measure_pb.js';
import { readManifest } from '../manifest.js';
import type { ObjectManifest } from '../manifest-object.js';
import { readText } from '../read-file.js';
import type { Argument, Flag, Verb, VerbContext } from '../verb.js';
import { checkTogether } from './check-together.js';
import { json, serverFlags, withServer } from './connect.js';
import {
  allowedWithdrawal,
  getObject,
  kindWords,
  simulateObjects,
  withdrawalFlags,
  withdraws,
} from './measure-calls.js';
import { changeLine, impactText, objectHead, objectsTable, versionsTable } from './measure-view.js';

const fileFlag: Flag = {
  name: 'f',
  type: 'strings',
  doc: 'Manifest, YAML or JSON; - for standard input.',
  required: true,
};
const hashFlag: Flag = {
  name: 'hash',
  type: 'string',
  doc: 'That very version, by its hash or the beginning of it; else the one in force.',
};
const nameArgument: Argument = { name: 'NAME', doc: 'Its name.' };

/** The objects of all files, checked; what else is in them is refused. */
async function objectsOf(context: VerbContext): Promise<ObjectManifest[]> {
  const problems: Problem[] = [];
  const objects: ObjectManifest[] = [];
  let entries = 0;
  for (const file of context.flags.strings('f')) {
    const read = readManifest(file, await readText(context, file));
    problems.push(...read.problems);
    objects.push(...read.objects);
    entries += read.entries.length;
  }
  if (problems.length > 0) throw new TouchmarkError('data_invalid', problems.map(formatProblem).join('\n'));
  if (entries > 0) context.out.note(`${entries} entries are left out: this is about measurement`);
  return objects;
}

const check: Verb = {
  name: 'policy check',
  summary: 'Check manifests of policies, reference sets and groups, without a server.',
  example: 'touchmark-server policy check -f fleet.yaml',
  flags: [fileFlag],
  run: async (context) => {
    const versions = (await objectsOf(context)).map(({ object }) => ({ object, hash: hashOf(object) }));
    const { problems, missing } = checkTogether(versions);
    if (problems.length > 0) throw new TouchmarkError('data_invalid', problems.join('\n'));
    for (const one of missing)
      context.out.note(`note: ${one}, which is not in these files: the server has to have it`);
    const rows = versions.map(({ object: { kind, name }, hash }) => ({ kind, name, hash }));
    const lines = rows.map(({ kind, name, hash }) => `${kind} ${name} is good: ${hash}`);
    context.out.result({ pretty: lines.join('\n'), json: { objects: rows } });
    return 0;
  },
};

const simulate: Verb = {
  name: 'policy simulate',
  summary:
    'Judge what every host showed last as if these were published; exit 1 when a good host would not be.',
  example: 'touchmark-server policy simulate -f fleet.yaml',
  flags: [fileFlag, ...serverFlags],
  run: (context) =>
    withServer(context, async (api) => {
      const objects = await objectsOf(context);
      const answer = await simulateObjects(
        context,
        api,
        objects.map(({ written }) => written),
      );
      const lines = [...answer.changes.map(changeLine), impactText(answer.impact)];
      context.out.result({ pretty: lines.join('\n'), json: json(SimulateResponseSchema, answer) });
      return withdraws(answer.impact) ? 1 : 0;
    }),
};

/** What the verbs of one kind of object say. */
interface Wording {
  /** The verb's first word. */
  readonly word: string;
  readonly kindName: string;
  readonly plural: string;
  readonly kind: ObjectKind;
}

/** list, versions, show and delete are the same for all kinds. */
function verbsOf(word: string, kindName: string, plural: string): Verb[] {
  const wording = { word, kindName, plural, kind: kindWords[kindName] ?? 0 };
  return [listVerb(wording), versionsVerb(wording), showVerb(wording), deleteVerb(wording)];
}

function listVerb({ word, plural, kind }: Wording): Verb {
  return {
    name: `${word} list`,
    summary: `List the ${plural} in force.`,
    example: `touchmark-server ${word} list`,
    flags: serverFlags,
    run: (context) =>
      withServer(context, async (api) => {
        const answer = await api.measurement.listObjects({ kind });
        context.out.result({
          pretty: objectsTable(answer.objects),
          json: json(ListObjectsResponseSchema, answer),
        });
        return 0;
      }),
  };
}

function versionsVerb({ word, kind }: Wording): Verb {
  return {
    name: `${word} versions`,
    summary: 'List the versions of one that are kept, newest first.',
    example: `touchmark-server ${word} versions NAME`,
    flags: serverFlags,
    args: [nameArgument],
    run: (context) =>
      withServer(context, async (api) => {
        const answer = await api.measurement.listVersions({ kind, name: context.args[0] ?? '' });
        context.out.result({
          pretty: versionsTable(answer.objects),
          json: json(ListObjectsResponseSchema, answer),
        });
        return 0;
      }),
  };
}

function showVerb({ word, kind }: Wording): Verb {
  return {
    name: `${word} show`,
    summary: 'Show the manifest of one version; it can be applied as it is.',
    example: `touchmark-server ${word} show NAME`,
    flags: [hashFlag, ...serverFlags],
    args: [nameArgument],
    run: (context) =>
      withServer(context, async (api) => {
        const request = { kind, name: context.args[0] ?? '', hash: context.flags.string('hash') };
        const { object, manifest } = await getObject(context, api, request);
        const about = json(MeasureObjectSchema, { ...object, manifest: new Uint8Array() });
        context.out.result({
          pretty: `${objectHead(object)}\n${stringify(manifest, { lineWidth: 0 })}`,
          json: { ...(about as object), manifest },
        });
        return 0;
      }),
  };
}

function deleteVerb({ word, kindName, kind }: Wording): Verb {
  return {
    name: `${word} delete`,
    summary: 'Take it out of force; refused while something names it. Its versions are kept.',
    example: `touchmark-server ${word} delete NAME`,
    flags: [...withdrawalFlags, ...serverFlags],
    args: [nameArgument],
    run: (context) =>
      withServer(context, async (api) => {
        const name = context.args[0] ?? '';
        await api.measurement.deleteObject({ kind, name, ...allowedWithdrawal(context.flags) });
        context.out.result({ pretty: `Deleted ${kindName} ${name}`, json: { kind: kindName, name } });
        return 0;
      }),
  };
}

export const policyVerbs: readonly Verb[] = [
  check,
  simulate,
  ...verbsOf('policy', 'MeasurementPolicy', 'measurement policies'),
  ...verbsOf('reference', 'ReferenceSet', 'reference sets'),
  ...verbsOf('group', 'HostGroup', 'groups of hosts'),
];
