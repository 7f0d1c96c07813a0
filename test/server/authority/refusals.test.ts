import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openAuthority } from '../../../src/server/authority/authority.js';
import type { Authority } from '../../../src/server/contract.js';
import { world } from './world.js';

describe('rotation by hand', () => {
  const refusals: [string, string, RegExp, (a: Authority) => Promise<unknown>][] = [
    [
      'activate without an ID',
      'authority_id_missing',
      /^no authority ID was given$/,
      (a) => a.x509.activate(''),
    ],
    [
      'activate an unknown one',
      'authority_unknown',
      /^there is no authority with the ID "x"$/,
      (a) => a.jwt.activate('x'),
    ],
    [
      'activate the active one',
      'authority_not_prepared',
      /^only a prepared authority can be activated: /,
      (a) => a.x509.activate(a.x509.signer().id),
    ],
    ['taint without an ID', 'authority_id_missing', /^no authority ID was given$/, (a) => a.jwt.taint('')],
    [
      'taint the active one',
      'authority_in_use',
      /^the active authority cannot be tainted: /,
      (a) => a.x509.taint(a.x509.signer().id),
    ],
    ['taint an unknown one', 'authority_unknown', /^there is no authority/, (a) => a.x509.taint('00')],
    [
      'taint the prepared one',
      'authority_not_old',
      /^only an old authority can be tainted: /,
      async (a) => a.jwt.taint((await a.jwt.prepare()).id),
    ],
    [
      'revoke the active one',
      'authority_in_use',
      /^the active authority cannot be revoked: /,
      (a) => a.jwt.revoke(a.jwt.signer().id),
    ],
    [
      'revoke the prepared one',
      'authority_not_old',
      /^only an old authority can be revoked: /,
      async (a) => a.x509.revoke((await a.x509.prepare()).id),
    ],
    [
      'revoke one that is not tainted',
      'authority_not_tainted',
      /^an authority that is not tainted cannot be revoked: /,
      async (a) => a.x509.revoke(await replacedId(a)),
    ],
    [
      'taint one twice',
      'authority_tainted',
      /^the authority is tainted already: /,
      async (a) => {
        const id = await replacedId(a);
        await a.x509.taint(id);
        await a.x509.taint(id);
      },
    ],
    [
      'activate a JWT key as X.509',
      'authority_unknown',
      /^there is no authority/,
      async (a) => a.x509.activate((await a.jwt.prepare()).id),
    ],
    [
      'taint an upstream authority where there is none',
      'upstream_authority_missing',
      /^no upstream authority is configured$/,
      (a) => a.taintUpstream('00'),
    ],
    [
      'revoke an upstream authority where there is none',
      'upstream_authority_missing',
      /^no upstream authority is configured$/,
      (a) => a.revokeUpstream('00'),
    ],
  ];
  for (const [what, code, message, task] of refusals) {
    test(`refuses to ${what}`, async () => {
      const { deps } = world();
      await using authority = await openAuthority(deps);
      await assert.rejects(task(authority), { code, message });
    });
  }
});

/** Replaces the active authority and returns the ID of the one that is old now. */
async function replacedId(authority: Authority): Promise<string> {
  const { id } = authority.x509.signer();
  await authority.x509.activate((await authority.x509.prepare()).id);
  return id;
}
