import { TouchmarkError } from '../errors.js';
import type { VerbContext } from './verb.js';

/**
 * The socket of `-instance NAME`: the first of the variables that is set, with NAME for %i. Undefined without the flag.
 * @throws TouchmarkError `flag_invalid`
 */
export function instancePath(
  { flags, environment }: VerbContext,
  variables: readonly [string, ...string[]],
): string | undefined {
  if (!flags.has('instance')) return undefined;
  const name = flags.string('instance');
  if (!/^[\w.-]+$/.test(name))
    throw new TouchmarkError(
      'flag_invalid',
      `-instance ${JSON.stringify(name)} is not the name of an instance`,
    );
  const template = variables.map((variable) => environment[variable]).find(Boolean);
  if (template?.includes('%i')) return template.replaceAll('%i', name);
  throw new TouchmarkError('flag_invalid', `-instance needs $${variables[0]} with %i in it`);
}
