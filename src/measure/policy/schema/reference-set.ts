import {
  description,
  digest,
  fileDigest,
  glob,
  kind,
  list,
  MAX_FILES,
  mapping,
  name,
  reference,
  type Schema,
  set,
  text,
} from './words.js';

const label = text(256, 'For people: `shim 15.8`.');

const events = (says: string) => list(mapping({ digest, label }, ['digest']), says);

const uki: Schema = mapping(
  {
    label,
    image: { ...set(digest, 'Authenticode hashes of the whole image.', 8), minItems: 1 },
    kernel: set(digest, 'Authenticode hashes of the kernel inside it.', 8),
    sections: list(
      mapping(
        {
          name: {
            type: 'string',
            pattern: '^\\.[a-z0-9]{1,15}$',
            description: 'the name of a section, as .linux',
          },
          digests: { ...set(digest, 'Digests of its content.', 64), minItems: 1 },
        },
        ['name', 'digests'],
      ),
      'Digests of the content of each section that the stub measures into PCR 11, in its order.',
      128,
    ),
    commandLine: text(16_384, 'The embedded command line; empty: none.'),
  },
  ['image'],
);

export const referenceSetSchema: Schema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'ReferenceSet',
  description: 'Known good values, made from things that operators have (touchmark-server reference create).',
  ...mapping(
    {
      kind: kind('ReferenceSet'),
      name,
      description,
      source: text(1024, 'What it was made from; for people.'),
      includes: set(reference, 'Further sets that belong to this one.', 64),
      firmware: events('Digests of events in PCR 0 and 2.'),
      firmwareConfig: events('Digests of events in PCR 1 and 3.'),
      secureBoot: events('Digests of events in PCR 7: variables and authorities as a whole.'),
      bootChain: events('Digests of events in PCR 4 (Authenticode), 8, 9, 12, 13 and 14.'),
      ukis: list(uki, 'Unified kernel images.', 256),
      commandLines: set({ type: 'string', minLength: 1, maxLength: 16_384 }, 'Exact command lines.', 1000),
      userspace: events('Digests of events that user space measured (PCR 9, 11, 12, 13, 15).'),
      files: list(
        mapping({ digest: fileDigest, path: { ...glob, minLength: 0, default: '' } }, ['digest']),
        'Files that may be in the IMA list; a path is a glob that must match, empty: wherever it lies.',
        MAX_FILES,
      ),
      fileSigners: set(
        { type: 'string', maxLength: 16_384 },
        'Certificates or public keys, PEM: who signs files (security.ima).',
        64,
      ),
    },
    ['kind', 'name'],
  ),
};
