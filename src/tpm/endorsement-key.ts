import { type ErrorCode, TouchmarkError } from '../errors.js';
import { curveByName } from './algorithms.js';
import { attributeNames } from './attributes.js';
import { type EkTemplate, ekPolicy, ekTemplates } from './ek-templates.js';
import type { TpmPublic } from './public.js';
import { describeKey, modulusBits, plainKeyOf } from './spki.js';

/**
 * Which template of the EK Credential Profile an endorsement key follows; refuses a key that follows none.
 * Does NOT establish that the key lives in a chip: its attributes are claims until a certificate vouches for the same number or point
 * and credential activation answers for it.
 */
export function checkEndorsementKey(key: TpmPublic): EkTemplate {
  const candidates = ekTemplates.filter((template) => sameKind(template, key));
  const template = candidates.find((one) => one.attributes === key.attributes) ?? candidates[0];
  if (!template) {
    throw refused(
      'ek_template',
      `${describeKey(plainKeyOf(key))} follows no template of the EK Credential Profile`,
    );
  }
  if (key.attributes !== template.attributes) {
    throw refused('ek_attributes', `has the attributes ${attributeNames(key.attributes)}`);
  }
  if (key.nameAlg !== template.nameAlg) {
    throw refused('ek_name_algorithm', `is named with ${key.nameAlg} instead of ${template.nameAlg}`);
  }
  if (!Buffer.from(key.policy).equals(ekPolicy(template))) {
    throw refused('ek_policy', `has another authorisation policy than ${template.name}`);
  }
  if (key.symmetric?.bits !== template.symmetricBits) {
    const found = key.symmetric ? `aes-${key.symmetric.bits}` : 'none';
    throw refused(
      'ek_symmetric',
      `has the symmetric scheme ${found} instead of aes-${template.symmetricBits}`,
    );
  }
  if (key.scheme) throw refused('ek_scheme', `has the scheme ${key.scheme.algorithm}`);
  checkNumber(key);
  return template;
}

function sameKind({ key: wanted }: EkTemplate, key: TpmPublic): boolean {
  if (key.type === 'rsa') return wanted.type === 'rsa' && wanted.bits === key.bits;
  return wanted.type === 'ecc' && wanted.curve === key.curve;
}

/** A template is not a key: the modulus or point must be there in full. */
function checkNumber(key: TpmPublic): void {
  if (key.type === 'rsa') {
    if (key.exponent !== 0 && key.exponent !== 65537) {
      throw refused('ek_key', `has the exponent ${key.exponent} instead of 65537`);
    }
    const bits = modulusBits(key.modulus);
    if (bits !== key.bits) throw refused('ek_key', `has a modulus of ${bits} bits instead of ${key.bits}`);
    return;
  }
  const { size } = curveByName(key.curve);
  const [x, y] = [key.x.length, key.y.length];
  if (x === 0 || y === 0 || x > size || y > size) {
    throw refused('ek_key', `has coordinates of ${x} and ${y} bytes instead of ${size}`);
  }
}

function refused(code: ErrorCode, what: string): TouchmarkError {
  return new TouchmarkError(code, `the endorsement key ${what}`);
}
