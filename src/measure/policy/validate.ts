/** The shape of manifests, by their schemas; and what the validator says, in the words of the people who wrote them. */
import { createRequire } from 'node:module';
import type { Ajv2020 as Ajv, ErrorObject, ValidateFunction } from 'ajv/dist/2020.js';
import { nearest } from '../../nearest.js';
import type { MeasurementObject } from './model.js';
import type { ManifestProblem } from './problem.js';
import { schemas } from './schema/table.js';

type Kind = MeasurementObject['kind'];

/** Beyond this many parts only the first mistake is looked for: a list of 200 000 wrong lines is one mistake. */
const MANY_PARTS = 5_000;

const validators = new Map<string, ValidateFunction>();
/** Loaded with the first manifest: every command line verb would wait for it otherwise. */
const require = createRequire(import.meta.url);

/**
 * Fills in what was left out, in place, and says what is wrong with the shape.
 * @param manifest a value of its own, without anything but JSON in it
 */
export function validateShape(kind: Kind, manifest: object): ManifestProblem[] {
  const validate = validatorOf(kind, !isLarge(manifest));
  if (validate(manifest)) return [];
  return (validate.errors ?? []).map((error) => problemOf(error, manifest));
}

/** Whether one mistake is all that is looked for. */
export function isLarge(manifest: object): boolean {
  return countParts(manifest) > MANY_PARTS;
}

function validatorOf(kind: Kind, allErrors: boolean): ValidateFunction {
  const key = `${kind} ${allErrors}`;
  const known = validators.get(key);
  if (known !== undefined) return known;
  const { Ajv2020 } = require('ajv/dist/2020.js') as { Ajv2020: typeof Ajv };
  const ajv = new Ajv2020({ allErrors, useDefaults: true, verbose: true, strict: true, ownProperties: true });
  const validate = ajv.compile(schemas[kind]);
  validators.set(key, validate);
  return validate;
}

/** Members of the mapping, of its lists, and of those of its members: deep enough to tell large from small. */
function countParts(value: unknown, depth = 3): number {
  if (typeof value !== 'object' || value === null || depth === 0) return 1;
  const members = Object.values(value);
  if (members.length > MANY_PARTS) return members.length;
  return members.reduce<number>((sum, member) => sum + countParts(member, depth - 1), 1);
}

function problemOf(error: ErrorObject, manifest: object): ManifestProblem {
  const path = pathOf(error.instancePath, manifest);
  const { params } = error;
  const about = { code: 'manifest_invalid' as const, path };
  if (error.keyword === 'additionalProperties') {
    const written = String(params['additionalProperty']);
    const known = Object.keys((error.parentSchema?.['properties'] ?? {}) as object);
    return { ...about, path: [...path, written], message: `unknown key${nearest(written, known)}` };
  }
  if (error.keyword === 'required') {
    return { ...about, path: [...path, String(params['missingProperty'])], message: 'is missing' };
  }
  return { ...about, message: sentence(error) };
}

function sentence({ keyword, params, parentSchema, data, message }: ErrorObject): string {
  const limit = String(params['limit']);
  const [i, j] = [Number(params['i']), Number(params['j'])];
  switch (keyword) {
    case 'type':
      return `must be ${typeWords[String(params['type'])] ?? String(params['type'])}, not ${shown(data)}`;
    case 'enum': {
      const allowed = (params['allowedValues'] as unknown[]).map(String);
      return `must be one of ${allowed.join(', ')}, not ${shown(data)}${nearest(String(data), allowed)}`;
    }
    case 'pattern':
      return `${shown(data)} is not ${String(parentSchema?.['description'] ?? 'of the expected form')}`;
    case 'maxItems':
      return `has ${(data as unknown[]).length} members; at most ${limit}`;
    case 'minItems':
      return `needs at least ${limit} member${limit === '1' ? '' : 's'}`;
    case 'maxLength':
      return `is longer than ${limit} characters`;
    case 'minLength':
      return 'must not be empty';
    case 'maxProperties':
      return `has more than ${limit} keys`;
    case 'uniqueItems':
      return `members ${Math.min(i, j)} and ${Math.max(i, j)} are the same; write it once`;
    case 'minimum':
    case 'maximum':
      return `must be ${keyword === 'minimum' ? 'at least' : 'at most'} ${limit}, not ${shown(data)}`;
    default:
      return message ?? `is not what ${keyword} asks for`;
  }
}

const typeWords: Readonly<Record<string, string>> = {
  string: 'text',
  array: 'a list',
  object: 'a mapping',
  boolean: 'true or false',
  integer: 'a whole number',
};

/** A value on one line, cut. */
export function shown(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'a mapping';
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}

/** JSON pointer -> keys and indices of this very document. */
function pathOf(pointer: string, manifest: unknown): (string | number)[] {
  let at = manifest;
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((part) => {
      const inList = Array.isArray(at);
      at = (at as Record<string, unknown> | undefined)?.[part];
      return inList ? Number(part) : part;
    });
}
