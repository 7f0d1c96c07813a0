import { writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { stringify } from 'yaml';
import { messageOf, TouchmarkError } from '../../errors.js';
import { checkManifest } from '../../measure/policy/check.js';
import { NAME_PATTERN } from '../../measure/policy/reference.js';
import {
  isEmptySet,
  mergeReferences,
  referenceDocument,
} from '../../measure/policy/reference-sources/reference-set.js';
import { UsageError } from '../parse.js';
import type { Flag, Verb, VerbContext } from '../verb.js';
import { type ReferenceSource, referenceSources } from './reference-sources.js';

const own: readonly Flag[] = [
  {
    name: 'from',
    type: 'string',
    doc: `What ARG is. ${Object.entries(referenceSources)
      .map(([kind, { doc }]) => `${kind}: ${doc}`)
      .join('; ')}.`,
    required: true,
    choices: Object.keys(referenceSources),
  },
  { name: 'name', type: 'string', doc: 'Name of the set; else it is made from the first ARG.' },
  { name: 'file', type: 'string', doc: 'Where to write the manifest; else to standard output.' },
];

/** A flag that several kinds take is listed once. */
const flags = [
  ...own,
  ...new Map(
    Object.values(referenceSources).flatMap((source) => source.flags.map((flag) => [flag.name, flag])),
  ).values(),
];

const create: Verb = {
  name: 'reference create',
  summary: 'Make a reference set, as a manifest for apply, from images, files, packages or logs.',
  example: 'touchmark-server reference create --from uki /boot/efi/EFI/Linux/debian.efi -file debian.yaml',
  flags,
  args: [{ name: 'ARG...', doc: 'One or several of the kind that -from names; all go into one set.' }],
  run: async (context) => {
    const source = referenceSources[context.flags.string('from')];
    const first = context.args[0];
    if (!source || first === undefined) throw new UsageError('ARG... is missing');
    const about = { name: nameOf(context, first), source: sourceText(context) };
    const made = [];
    for (const arg of context.args) {
      // What is written down must not tell where on the operator's machine it was found.
      made.push(await source.build(context, { name: about.name, source: labelOf(source, arg) }, arg));
    }
    const { set, notes } = mergeReferences(about, made);
    for (const note of notes) context.out.note(`note: ${note}`);
    if (isEmptySet(set)) {
      throw new TouchmarkError(
        'reference_source_invalid',
        `${about.source} gives nothing that can be a reference`,
      );
    }
    const document = referenceDocument(set);
    // What is written here can be applied.
    checkManifest(document);
    await write(context, document);
    return undefined;
  },
};

function labelOf(source: ReferenceSource, arg: string): string {
  return source.files ? basename(arg) : arg;
}

function sourceText({ flags, args }: VerbContext): string {
  const kind = flags.string('from');
  const source = referenceSources[kind];
  return `${kind} ${args.map((arg) => (source ? labelOf(source, arg) : arg)).join(', ')}`.slice(0, 500);
}

/** The given name, or the first argument's own without what a name cannot hold. */
function nameOf({ flags }: VerbContext, first: string): string {
  const given = flags.string('name');
  const name =
    given ||
    basename(first)
      .replace(/\.(efi|deb|pcrlock)$/, '')
      .replace(/[^A-Za-z0-9._-]+/g, '-')
      .replace(/^[^A-Za-z0-9]+/, '')
      .slice(0, 63);
  if (new RegExp(NAME_PATTERN).test(name)) return name;
  throw new TouchmarkError(
    'flag_invalid',
    `${JSON.stringify(name)} cannot be the name of a set: give another with -name`,
  );
}

async function write({ flags, out }: VerbContext, document: Record<string, unknown>): Promise<void> {
  const path = flags.string('file');
  // Lines are not folded and nothing is shared: a reader of the manifest sees each value whole where it stands.
  const text =
    out.format === 'json'
      ? `${JSON.stringify(document, null, 2)}\n`
      : stringify(document, { lineWidth: 0, aliasDuplicateObjects: false });
  if (path === '') {
    out.text(text);
    return;
  }
  try {
    await writeFile(path, text);
  } catch (cause) {
    throw new TouchmarkError('file_unreadable', `cannot write ${path}: ${messageOf(cause)}`, { cause });
  }
  out.note(`wrote ${path}`);
}

export const referenceVerbs: readonly Verb[] = [create];
