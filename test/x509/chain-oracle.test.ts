import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import { TouchmarkError } from '../../src/errors.js';
import { verifyChain } from '../../src/x509/chain.js';
import { derNull, oid } from '../../src/x509/der.js';
import { extension, keyUsageBit } from '../../src/x509/extensions.js';
import { writePem } from '../../src/x509/pem.js';
import { readCertificate } from '../../src/x509/read-certificate.js';
import {
  dnsName,
  ecKey,
  type Made,
  makeIntermediate,
  makeLeaf,
  makeRoot,
  nameConstraints,
  factoryNow as now,
  type Recipe,
} from '../support/der-factory.js';

const keys = Array.from({ length: 5 }, () => ecKey());
const { keyCertSign, crlSign } = keyUsageBit;

/** One defect or peculiarity of an authority, chosen at random for each certificate of a chain. */
const authorityRecipes: readonly Recipe[] = [
  {},
  {},
  {},
  { pathLength: 0 },
  { pathLength: 1 },
  { authority: false },
  { keyUsage: crlSign },
  { keyUsage: keyCertSign },
  { notAfter: now - 1 },
  { notBefore: now + 1 },
  { signedBy: ecKey() },
  { more: [nameConstraints({ permitted: [dnsName('example')] })] },
  { more: [nameConstraints({ excluded: [dnsName('a.example')] })] },
  { more: [extension(oid('1.2.3.4'), true, derNull)] },
  { more: [extension(oid('1.2.3.4'), false, derNull)] },
];
const leafRecipes: readonly Recipe[] = [
  {},
  {},
  { dnsNames: ['a.example'] },
  { dnsNames: ['b.other'] },
  { notAfter: now - 1 },
  { signedBy: ecKey() },
];

const chains = fc.record({
  root: fc.constantFrom(
    ...authorityRecipes.filter(({ signedBy, keyUsage }) => !signedBy && keyUsage !== crlSign),
  ),
  middle: fc.array(fc.constantFrom(...authorityRecipes), { maxLength: 3 }),
  leaf: fc.constantFrom(...leafRecipes),
});

test('chains are accepted and refused as openssl accepts and refuses them', () => {
  let [accepted, refused] = [0, 0];
  const property = fc.property(chains, ({ root: rootRecipe, middle, leaf: leafRecipe }) => {
    const root = makeRoot({ key: keys[4] ?? ecKey(), ...rootRecipe });
    const presented: Made[] = [];
    for (const [index, recipe] of middle.entries()) {
      const key = keys[index] ?? ecKey();
      presented.push(makeIntermediate(presented.at(-1) ?? root, { key, name: `i${index}`, ...recipe }));
    }
    const leaf = makeLeaf(presented.at(-1) ?? root, { key: keys[3] ?? ecKey(), ...leafRecipe });
    const ours = accepts(leaf, presented, root);
    const theirs = opensslAccepts(leaf, presented, root);
    assert.equal(ours.verdict, theirs.verdict, `ours: ${ours.reason}; openssl: ${theirs.reason}`);
    if (ours.verdict) accepted += 1;
    else refused += 1;
  });
  fc.assert(property, { numRuns: 60, seed: 20_261_124 });
  assert.ok(accepted >= 10 && refused >= 10, `${accepted} accepted, ${refused} refused`);
});

interface Opinion {
  readonly verdict: boolean;
  readonly reason: string;
}

function accepts(leaf: Made, presented: readonly Made[], root: Made): Opinion {
  const read = ({ der }: Made) => readCertificate(der);
  try {
    verifyChain(read(leaf), presented.map(read), [read(root)], { now });
    return { verdict: true, reason: 'accepted' };
  } catch (error) {
    assert.ok(error instanceof TouchmarkError);
    return { verdict: false, reason: error.message };
  }
}

function opensslAccepts(leaf: Made, presented: readonly Made[], root: Made): Opinion {
  const pem = (list: readonly Made[]) => list.map(({ der }) => writePem('CERTIFICATE', der)).join('');
  const files = '-CAfile <(printf %s "$ROOT") -untrusted <(printf %s "$MIDDLE") <(printf %s "$LEAF")';
  const run = spawnSync('bash', ['-c', `openssl verify -attime ${now} ${files}`], {
    env: {
      ...process.env,
      ROOT: pem([root]),
      MIDDLE: pem(presented.length > 0 ? presented : [root]),
      LEAF: pem([leaf]),
    },
  });
  return { verdict: run.status === 0, reason: run.stderr.toString() };
}
