import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  isMemberOf,
  makeSpiffeId,
  parseSpiffeId,
  parseTrustDomain,
  pathOf,
  trustDomainFromOperator,
  trustDomainOf,
} from '../../src/spiffe/id.js';
import { badSpiffeIds } from '../support/ids.js';
import { throwsCode } from '../support/rejects.js';

const rejectsId = (...ids: string[]) => {
  for (const id of ids) throwsCode('spiffe_id_invalid', /^SPIFFE ID "/, () => parseSpiffeId(id), id);
};
const acceptsId = (...ids: string[]) => {
  for (const id of ids) assert.equal(parseSpiffeId(id), id);
};
const T = 'spiffe://example.org';

test('ID-01: the scheme is spiffe with two slashes and an authority', () => {
  acceptsId(`${T}/a`);
  rejectsId('https://example.org/a', 'spiffe:/example.org/a', 'spiffe:example.org/a', '//example.org/a', '');
});

test('ID-02: the trust domain is not empty', () => rejectsId('spiffe://', 'spiffe:///a'));

test('ID-03: there is no query, not even an empty one', () => rejectsId(`${T}/a?x=1`, `${T}/a?`, `${T}?x`));

test('ID-04: there is no fragment, not even an empty one', () => rejectsId(`${T}/a#f`, `${T}/a#`, `${T}#`));

test('ID-05: there is no user information', () => {
  rejectsId('spiffe://u@example.org/a', 'spiffe://u:p@example.org/a', 'spiffe://@example.org/a');
});

test('ID-06: there is no port', () => rejectsId(`${T}:8080/a`, `${T}:/a`, `${T}:0`));

test('ID-07: exactly 39 of 256 byte values may stand in a trust domain', () => {
  const accepted = Array.from({ length: 256 }, (_, byte) => `ex${String.fromCharCode(byte)}ample`).filter(
    (name) => {
      try {
        return parseTrustDomain(name) === name;
      } catch {
        return false;
      }
    },
  );
  assert.equal(accepted.length, 26 + 10 + 3);
});

test('ID-08, ID-21, D-1: an upper-case trust domain is refused on the wire and lowered for operators', () => {
  rejectsId('spiffe://Example.org/a', 'SPIFFE://example.org/a');
  throwsCode('trust_domain_invalid', /has a character outside/, () => parseTrustDomain('Example.org'));
  assert.equal(trustDomainFromOperator(' SPIFFE://Example.ORG '), 'example.org');
  assert.equal(trustDomainFromOperator('Example.org'), 'example.org');
});

test('ID-09: a trust domain is not percent-encoded', () => rejectsId('spiffe://ex%61mple.org/a'));

test('ID-10: a dotted IPv4 name is a trust domain, an IPv6 literal is not', () => {
  acceptsId('spiffe://1.2.3.4/a');
  rejectsId('spiffe://[::1]/a', 'spiffe://::1/a');
});

test('ID-11: a trust domain is kept byte for byte, whatever it looks like', () => {
  for (const name of ['a_b', '-a-', '.', '..', 'a..b', 'a.', '010.1', 'a'.repeat(64), '1.2.3.4']) {
    assert.equal(trustDomainOf(parseSpiffeId(`spiffe://${name}/x`)), name);
  }
  assert.notEqual(parseTrustDomain('1.2.3.4'), parseTrustDomain('1.2.3.04'));
});

test('ID-12: a path is not percent-encoded', () => rejectsId(`${T}/a%2Fb`, `${T}/%61`, `${T}/a%`));

test('ID-13: no segment is empty', () => rejectsId(`${T}//a`, `${T}/a//b`, `${T}//`));

test('ID-14: no segment is a dot or two, while dots inside are plain', () => {
  rejectsId(`${T}/.`, `${T}/..`, `${T}/a/./b`, `${T}/a/../b`, `${T}/a/..`);
  acceptsId(`${T}/...`, `${T}/.a`, `${T}/a.`, `${T}/..a`, `${T}/a..`);
});

test('ID-15: a path does not end in a slash', () => {
  rejectsId(`${T}/a/`, `${T}/`);
  acceptsId(T);
});

test('ID-16: 65 of 256 byte values stay one segment, the slash makes two, 190 are refused', () => {
  let [one, two, refused] = [0, 0, 0];
  for (let byte = 0; byte < 256; byte++) {
    try {
      const id = parseSpiffeId(`${T}/a${String.fromCharCode(byte)}b`);
      if (pathOf(id).split('/').length === 2) one += 1;
      else two += 1;
    } catch {
      refused += 1;
    }
  }
  assert.deepEqual([one, two, refused], [65, 1, 190]);
});

test('ID-17: a path is case-sensitive', () => {
  assert.notEqual(parseSpiffeId(`${T}/A`), parseSpiffeId(`${T}/a`));
});

test('ID-18: IDs of 2048 bytes are read, with a short and with the longest trust domain', () => {
  const long = `${T}/${'a'.repeat(2027)}`;
  const longDomain = `spiffe://${'d'.repeat(255)}/${'a'.repeat(1783)}`;
  for (const id of [long, longDomain]) {
    assert.equal(id.length, 2048);
    acceptsId(id);
  }
});

test('ID-19: an ID of 2049 bytes is refused', () => {
  throwsCode('spiffe_id_invalid', /longer than 2048 bytes/, () => parseSpiffeId(`${T}/${'a'.repeat(2028)}`));
});

test('ID-20: a trust domain has at most 255 bytes', () => {
  assert.equal(parseTrustDomain('a'.repeat(255)).length, 255);
  throwsCode('trust_domain_invalid', /longer than 255 bytes/, () => parseTrustDomain('a'.repeat(256)));
  throwsCode('trust_domain_invalid', /it is empty/, () => parseTrustDomain(''));
});

test('ID-22: an ID without a path is valid and a member of its trust domain', () => {
  const id = parseSpiffeId(T);
  assert.equal(pathOf(id), '');
  assert.ok(isMemberOf(id, parseTrustDomain('example.org')));
});

test('ID-23 and section 15: nothing is trimmed or normalised before the check, as URL would', () => {
  rejectsId(` ${T}/a`, `${T}/a `, `\t${T}/a`, `${T}/a\nb`, `${T}/a\n`, `\ufeff${T}/a`, `${T}/é`, `${T}/ａ`);
  rejectsId('spiffe://exampl\u212a.org/a', `${T}/\u212a`, `${T}/a/../b`, `${T}/%2e%2e/b`);
});

test('ID-24: paths may be deep', () => {
  acceptsId(`${T}/a/b/c`, `${T}${'/s'.repeat(1000)}`);
});

test('ID-25: formatting what was parsed gives the same bytes', () => {
  const label = fc.stringMatching(/^[a-z0-9._-]{1,20}$/);
  const segment = fc.stringMatching(/^[A-Za-z0-9._-]{1,12}$/).filter((s) => s !== '.' && s !== '..');
  fc.assert(
    fc.property(label, fc.array(segment, { maxLength: 6 }), (name, segments) => {
      const path = segments.map((s) => `/${s}`).join('');
      const id = makeSpiffeId(parseTrustDomain(name), path);
      assert.equal(id, `spiffe://${name}${path}`);
      assert.equal(`spiffe://${trustDomainOf(id)}${pathOf(id)}`, id);
    }),
  );
});

const anyCharacter = fc.integer({ min: 0, max: 0x2ff }).map((code) => String.fromCharCode(code));

test('ID-25: arbitrary text is either refused or kept exactly', () => {
  fc.assert(
    fc.property(fc.string({ unit: anyCharacter, maxLength: 40 }), (text) => {
      try {
        assert.equal(parseSpiffeId(`spiffe://t/${text}`), `spiffe://t/${text}`);
        assert.match(text, /^[A-Za-z0-9._/-]+$/);
      } catch (error) {
        assert.match(String(error), /^TouchmarkError: SPIFFE ID "/);
      }
    }),
  );
});

test('ID-26: a suffix of a name is another trust domain', () => {
  const id = parseSpiffeId('spiffe://a.example.org/x');
  assert.equal(isMemberOf(id, parseTrustDomain('example.org')), false);
});

test('the shared list of bad IDs holds nothing that is accepted', () => rejectsId(...badSpiffeIds));

test('a path without a leading slash cannot lengthen the trust domain', () => {
  throwsCode(
    'spiffe_id_invalid',
    /"spiffe:\/\/example\.org\.evil\/a": its path does not begin with a slash$/,
    () => makeSpiffeId(parseTrustDomain('example.org'), '.evil/a'),
  );
});
