import { description, glob, kind, list, mapping, name, reference, type Schema, time } from './words.js';

export const hostGroupSchema: Schema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'HostGroup',
  description: 'Which hosts a policy is for.',
  ...mapping(
    {
      kind: kind('HostGroup'),
      name,
      description,
      priority: {
        type: 'integer',
        minimum: -1_000_000,
        maximum: 1_000_000,
        default: 0,
        description: 'Of several groups that match, the highest counts, then the first by name.',
      },
      labels: {
        type: 'object',
        additionalProperties: glob,
        maxProperties: 64,
        default: {},
        description: 'Label -> glob; all must match. Empty: every host.',
      },
      policy: { ...reference, description: 'the name of a policy, or name@<64 hex digits> for one version' },
      maintenance: list(
        mapping({ from: time, until: time }, ['from', 'until']),
        'Within these, a failing host is suspect instead of drifted.',
        256,
      ),
    },
    ['kind', 'name', 'policy'],
  ),
};
