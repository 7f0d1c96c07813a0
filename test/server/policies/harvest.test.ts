import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Evidence } from '../../../src/measure/appraise/contract.js';
import type { ReferenceSet } from '../../../src/measure/policy/model.js';
import type { Host } from '../../../src/server/model.js';
import { openGather } from '../../../src/server/policies/gather.js';
import { createHarvester, type HarvestRequest } from '../../../src/server/policies/harvest.js';
import { hostNamed } from '../../fakes/policy-world.js';
import { goodHost, imaFiles } from '../../support/appraisal-factory.js';
import { evidenceOf, file, type MadeHost, measure, sha256 } from '../../support/appraisal-host.js';
import { rejectsCode } from '../../support/rejects-async.js';

type Shown = Readonly<Record<string, Partial<MadeHost> | Evidence | undefined>>;

function harvesting(shown: Shown, hosts: readonly Host[] = Object.keys(shown).map((id) => hostNamed(id))) {
  const harvest = createHarvester({
    registry: { hosts: () => hosts },
    archive: {
      latest: async (id) => {
        const made = shown[id];
        if (made === undefined) return undefined;
        const evidence = 'quote' in made ? made : measure({ ...goodHost, ...made }).evidence;
        return { evidence } as never;
      },
    },
    openGather,
  });
  return async (request: Partial<HarvestRequest> = {}) => {
    const made = await harvest({ name: 'made', labels: {}, states: [], shownByAtLeast: 0, ...request });
    return { ...made, set: JSON.parse(Buffer.from(made.manifest).toString('utf8')) as ReferenceSet };
  };
}

test('what hosts showed becomes one set, each thing once', async () => {
  const { set, hosts, notes } = await harvesting({ a: {}, b: { ima: [...imaFiles, file('/usr/bin/b')] } })();
  assert.deepEqual(hosts, ['host-a', 'host-b']);
  assert.deepEqual([set.kind, set.name, set.source], ['ReferenceSet', 'made', 'hosts host-a, host-b']);
  assert.deepEqual(
    set.files.map(({ path }) => path),
    ['/usr/bin/b', '/usr/bin/true', '/usr/lib/touchmark/agent.js', '/usr/lib/touchmark/node'],
  );
  assert.equal(new Set(set.firmware.map(({ digest }) => digest)).size, set.firmware.length);
  assert.ok(set.bootChain.some(({ digest }) => digest === sha256('unified image')));
  assert.deepEqual(
    notes.filter((note) => note.includes('left out')),
    [],
  );
});

test('what so many hosts have in common is taken over, and that there is nothing is an error', async () => {
  const harvest = harvesting({ a: {}, b: { ima: [...imaFiles, file('/usr/bin/b')] } });
  const { set } = await harvest({ shownByAtLeast: 2 });
  assert.deepEqual(
    set.files.map(({ path }) => path),
    ['/usr/bin/true', '/usr/lib/touchmark/agent.js', '/usr/lib/touchmark/node'],
  );
  await rejectsCode(
    'reference_source_invalid',
    /^nothing was shown by 3 of these hosts; 2 have shown something/,
    harvest({ shownByAtLeast: 3 }),
  );
});

test('registers that the logs do not explain give nothing, and are told', async () => {
  const tamper = (pcrs: Map<number, Uint8Array>) => {
    for (const pcr of [0, 2, 4]) pcrs.set(pcr, Buffer.alloc(32, 7));
  };
  const { set, notes } = await harvesting({ a: { tamper } })();
  assert.equal(set.firmware, undefined);
  assert.ok(!(set.bootChain ?? []).some(({ digest }) => digest === sha256('unified image')));
  assert.equal(set.files.length, 3);
  assert.ok(
    notes.some((note) => /^host-a: events of PCR 0, 2, 4 are left out: no quote bears them out$/.test(note)),
  );
});

test('a boot log that explains nothing of its quote gives no reference at all', async () => {
  const { bootLog, imaList } = measure(goodHost);
  const other = measure({ boot: [], userspace: [], ima: [] }).pcrs;
  const changed = new Map([...other].map(([pcr, value]) => [pcr, pcr < 16 ? Buffer.alloc(32, 9) : value]));
  const evidence = evidenceOf(changed, { bootLog, imaList });
  await rejectsCode(
    'reference_source_invalid',
    /^none of the hosts has shown anything that a quote vouches for; host-a: events of PCR 0, .* are left out/,
    harvesting({ a: evidence })(),
  );
});

test('entries behind what the quote covers are left out, and told', async () => {
  const late = { ima: [...imaFiles, file('/tmp/late')], quotedEntries: 4 };
  const { set, notes } = await harvesting({ a: late })();
  assert.ok(!set.files.some(({ path }) => path === '/tmp/late'));
  assert.equal(set.files.length, 3);
  assert.ok(notes.some((note) => /^host-a: \d+ of \d+ bytes of its IMA list are left out/.test(note)));
});

test('hosts without evidence, and logs that cannot be read, are told and keep the others in', async () => {
  const { evidence } = measure(goodHost);
  const broken = { ...evidence, pcrValues: new Map() };
  const { hosts, notes } = await harvesting({ a: {}, b: undefined, c: broken })();
  assert.deepEqual(hosts, ['host-a']);
  assert.ok(notes.includes('host-b has shown no evidence yet'));
  assert.ok(notes.some((note) => note.startsWith('host-c is left out: ')));
});

test('only hosts with the labels, in one of the states, are looked at', async () => {
  const hosts = [hostNamed('a', 'trusted', { role: 'web' }), hostNamed('b', 'drifted', { role: 'web' })];
  const harvest = harvesting({ a: {}, b: {} }, hosts);
  assert.deepEqual((await harvest({ labels: { role: 'w*' } })).hosts, ['host-a']);
  assert.deepEqual((await harvest({ states: ['drifted'] })).hosts, ['host-b']);
  await rejectsCode(
    'reference_source_invalid',
    /^no host that is trusted has these labels$/,
    harvest({ labels: { role: 'db' } }),
  );
  const many = Array.from({ length: 1001 }, (_, at) => hostNamed(String(at)));
  await rejectsCode(
    'reference_source_too_large',
    /^1001 hosts have these labels; at most 1000/,
    harvesting({}, many)(),
  );
});
