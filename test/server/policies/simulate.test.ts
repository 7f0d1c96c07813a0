import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AppraisalRecord, Host, HostState } from '../../../src/server/model.js';
import { exceedsBlastRadius } from '../../../src/server/policies/brake.js';
import { hostNamed, policyWorld, type Sentence } from '../../fakes/policy-world.js';
import { entryOf } from '../../support/entries.js';
import { groupManifest, policyManifest, setManifest } from '../../support/policy-manifests.js';
import { rejectsCode } from '../../support/rejects-async.js';

const fleet = [setManifest(), policyManifest(), groupManifest()];
const numbered = (count: number, state: HostState = 'trusted') =>
  Array.from({ length: count }, (_, at) => hostNamed(String(at), state));
/** These hosts fail, the others pass. */
const failing =
  (...ids: string[]): Sentence =>
  (id) =>
    ids.includes(id) ? 'drifted' : 'trusted';

test('every host that would be judged otherwise is judged by what it showed last, as of now', async () => {
  const hosts = [hostNamed('1', 'unmeasured', { role: 'web' }), hostNamed('2')];
  const { publisher, judgements, clock, store } = await policyWorld({ hosts, sentence: failing('1') });
  const { impact } = await publisher.simulate([
    ...fleet.slice(0, 2),
    groupManifest({ labels: { role: 'web' } }),
  ]);
  assert.deepEqual(judgements, ['1 by uki-fleet at 0']);
  assert.deepEqual(impact.affected, [
    {
      ...{ hostId: '1', name: 'host-1', stateNow: 'unmeasured', stateThen: 'drifted', lost: true },
      reasons: [{ code: 'boot_image_unknown', message: 'boot-chain: event 3 is no reference' }],
      ...{ policyNow: '', policyThen: 'uki-fleet', groupThen: 'all' },
    },
  ]);
  assert.deepEqual([impact.hosts, impact.good, impact.lost.length], [2, 2, 1]);
  assert.ok(clock.now() > 0);
  assert.equal(store.revision, 0);
});

test('a host that stays under the same policy is not judged again', async () => {
  const world = await policyWorld({ hosts: numbered(3) });
  await world.apply(fleet);
  world.judgements.length = 0;
  await world.publisher.simulate([
    setManifest({ name: 'other' }),
    groupManifest({ description: 'new words' }),
  ]);
  assert.deepEqual(world.judgements, []);
  await world.publisher.simulate([setManifest({ description: 'new' })]);
  assert.equal(world.judgements.length, 3);
});

test('the thread that judges is closed, also when it fails', async () => {
  const world = await policyWorld({ hosts: numbered(2), sentence: () => new Error('broken') });
  await world.publisher.simulate(fleet);
  assert.equal(world.unclosed(), 0);
});

test('a host without evidence is told as unknown', async () => {
  const { publisher } = await policyWorld({ hosts: numbered(2), silent: ['0'] });
  const { impact } = await publisher.simulate(fleet);
  assert.deepEqual(
    impact.unknown.map(({ hostId, reasons }) => [hostId, reasons]),
    [['0', [{ code: 'no_evidence', message: 'it has shown no evidence yet' }]]],
  );
  assert.deepEqual(impact.lost, []);
});

test('hosts whose evidence cannot be judged would go stale, and the brake holds what does that to them', async () => {
  const hosts = [...numbered(2), hostNamed('d', 'drifted')];
  const world = await policyWorld({ hosts, sentence: () => new Error('the log is cut off') });
  const { impact } = await world.publisher.simulate(fleet);
  assert.deepEqual(
    impact.affected.map(({ hostId, stateThen, lost, reasons }) => [
      hostId,
      stateThen,
      lost,
      reasons[0]?.code,
    ]),
    [
      ['0', 'stale', true, 'evidence_unjudged'],
      ['1', 'stale', true, 'evidence_unjudged'],
      ['d', 'drifted', false, 'evidence_unjudged'],
    ],
  );
  await rejectsCode(
    'blast_radius_exceeded',
    /of 2 of 2 hosts, more than 10 %: host-0, host-1$/,
    world.apply(fleet),
  );
  const reporting = [setManifest(), policyManifest({ mode: 'report' }), groupManifest()];
  const report = await world.apply(reporting);
  assert.deepEqual(report.impact.lost, [], 'a policy that only reports asks for no evidence');
  assert.equal(report.impact.unknown.length, 2);
});

test('who loses a measured selector that an entry asks for is lost, though it stays good', async () => {
  const entries = [
    entryOf('1', ['measure:policy:uki-fleet', 'host:label:role:web']),
    entryOf('2', ['host:label:role:db']),
  ];
  const sentence: Sentence = (_id, { policy }) => (policy.mode === 'report' ? 'unmeasured' : 'trusted');
  const judged = (id: string, role: string): Host => ({
    ...hostNamed(id, 'trusted', { role }),
    appraisal: {
      ...{ verdict: 'trusted', since: 1, at: 1, evidenceId: 'e', policyId: 'p', policyName: 'uki-fleet' },
      ...{ group: 'all', components: [] },
    },
  });
  const hosts = [judged('1', 'web'), judged('2', 'db')];
  const world = await policyWorld({ hosts, entries, sentence });
  await world.apply(fleet);
  const report = [policyManifest({ mode: 'report' })];
  const { impact } = await world.publisher.simulate(report);
  assert.deepEqual(
    impact.lost.map(({ hostId, stateThen, reasons }) => [hostId, stateThen, reasons]),
    [
      [
        '1',
        'unmeasured',
        [
          {
            code: 'measured_selector_ends',
            message: 'it would have measure:policy:uki-fleet no more, which entries ask for',
          },
        ],
      ],
    ],
  );
  await rejectsCode('blast_radius_exceeded', /of 1 of 2 hosts/, world.apply(report));
  const gone = world.publisher.remove('HostGroup', 'all', { by: 'uid 7', dryRun: false });
  await rejectsCode('blast_radius_exceeded', /of 1 of 2 hosts/, gone);
});

test('a selector that the judgement gives again is not lost', async () => {
  const entries = [entryOf('1', ['measure:uki:image 1']), entryOf('2', ['measure:policy:uki-fleet'])];
  const appraisal: AppraisalRecord = {
    ...{ verdict: 'trusted', since: 1, at: 1, evidenceId: 'e', policyId: 'p', policyName: 'uki-fleet' },
    ...{ group: 'all', components: [], ukis: ['image 1'] },
  };
  const hosts = [{ ...hostNamed('1'), appraisal }];
  const same = await policyWorld({ hosts, entries, ukis: ['image 1'] });
  assert.deepEqual((await same.publisher.simulate(fleet)).impact.lost, []);
  const other = await policyWorld({ hosts, entries, ukis: ['image 2'] });
  const { lost } = (await other.publisher.simulate(fleet)).impact;
  assert.deepEqual(
    lost.map(({ reasons }) => reasons.map(({ message }) => message)),
    [['it would have measure:uki:image 1 no more, which entries ask for']],
  );
});

test('who would be lost when accept-next ends is told beforehand, and held by nothing', async () => {
  const sentence: Sentence = (id, policy, at) => {
    const open = policy.next.some(({ from, until }) => from <= at && at < until);
    return id === '1' && !open && policy.next.length > 0 ? 'drifted' : 'trusted';
  };
  const world = await policyWorld({ hosts: numbered(3), sentence });
  const { clock } = world;
  const until = clock.now() + 3_600_000;
  const written = (at: number) => new Date(at).toISOString();
  const acceptNext = [{ references: ['next'], from: written(clock.now() - 1000), until: written(until) }];
  const windowed = [
    setManifest(),
    setManifest({ name: 'next' }),
    policyManifest({ acceptNext }),
    groupManifest(),
  ];
  const { impact } = await world.apply(windowed);
  assert.deepEqual(impact.lost, []);
  assert.deepEqual(
    [impact.afterWindows.from, impact.afterWindows.lost.map(({ hostId }) => hostId)],
    [until, ['1']],
  );
  const again = (await world.publisher.simulate(windowed)).impact;
  assert.deepEqual(
    [again.affected.length, again.afterWindows.lost.length],
    [0, 1],
    'told until it is mended',
  );
  const mended = await world.apply([policyManifest({ references: ['uki', 'next'] })]);
  assert.deepEqual(mended.impact.afterWindows, { lost: [], from: 0 });
});

test('a host that would come back is told, and one that an operator shut out stays out', async () => {
  const hosts = [hostNamed('1', 'drifted'), hostNamed('2', 'quarantined'), hostNamed('3', 'suspect')];
  const { publisher } = await policyWorld({ hosts });
  const { impact } = await publisher.simulate(fleet);
  assert.deepEqual(
    impact.regained.map(({ hostId }) => hostId),
    ['1', '3'],
  );
  assert.equal(impact.affected.find(({ hostId }) => hostId === '2')?.stateThen, 'quarantined');
  assert.equal(impact.good, 0);
});

test('a host whose own suspicions run stays suspect, however good its evidence', async () => {
  const suspicious = { ...hostNamed('1', 'suspect'), suspicions: [{ code: 'reset_count', message: 'fell' }] };
  const { publisher } = await policyWorld({ hosts: [suspicious] });
  const { impact } = await publisher.simulate(fleet);
  assert.equal(impact.affected[0]?.stateThen, 'suspect');
  assert.deepEqual(impact.regained, []);
});

test('under maintenance a host that fails would be suspect', async () => {
  const { publisher, clock } = await policyWorld({ hosts: numbered(1), sentence: failing('0') });
  const at = (ms: number) => new Date(clock.now() + ms).toISOString();
  const maintenance = [{ from: at(-1000), until: at(1000) }];
  const { impact } = await publisher.simulate([...fleet.slice(0, 2), groupManifest({ maintenance })]);
  assert.equal(impact.affected[0]?.stateThen, 'suspect');
  assert.equal(impact.lost.length, 1);
});

test('the brake holds a publication that would cost more than the share, and names the hosts', async () => {
  const world = await policyWorld({ hosts: numbered(10), sentence: failing('3', '7') });
  await rejectsCode(
    'blast_radius_exceeded',
    /^this would take the trust of 2 of 10 hosts, more than 10 %: host-3, host-7$/,
    world.apply(fleet),
  );
  assert.equal(world.store.revision, 0);
});

test('the brake lets through what stays within the share', async () => {
  const world = await policyWorld({ hosts: numbered(10), sentence: failing('3') });
  const { impact } = await world.apply(fleet);
  assert.deepEqual(
    impact.lost.map(({ hostId }) => hostId),
    ['3'],
  );
  assert.equal(world.policies.policyFor(hostNamed('3'))?.group.name, 'all');
});

test('of few hosts none is lost unless somebody says so', async () => {
  const world = await policyWorld({ hosts: numbered(3), sentence: failing('1') });
  await rejectsCode(
    'blast_radius_exceeded',
    /^this would take the trust of 1 of 3 hosts/,
    world.apply(fleet),
  );
  const still = world.apply(fleet, { allowWithdrawal: 20 });
  await rejectsCode('blast_radius_exceeded', /more than 20 %: host-1$/, still);
  await world.apply(fleet, { allowWithdrawal: 34 });
  assert.ok(world.policies.policyFor(hostNamed('1')));
});

test('a dry run is not held, and tells what would be', async () => {
  const world = await policyWorld({ hosts: numbered(3), sentence: failing('1') });
  const { impact } = await world.apply(fleet, { dryRun: true });
  assert.equal(exceedsBlastRadius(impact, 10), true);
});

test('hosts that are lost already do not count, and long lists are cut', async () => {
  const hosts = [...numbered(30), hostNamed('d', 'drifted')];
  const world = await policyWorld({ hosts, sentence: () => 'drifted' });
  await rejectsCode('blast_radius_exceeded', /of 30 of 30 hosts.*host-19, and 10 more$/, world.apply(fleet));
});

test('a deletion that gives hosts another policy is weighed too', async () => {
  const sentence: Sentence = (_id, policy) => (policy.policy.name === 'strict' ? 'drifted' : 'trusted');
  const world = await policyWorld({ hosts: numbered(2), sentence });
  await world.apply([setManifest(), policyManifest(), groupManifest({ name: 'mild', priority: 1 })]);
  await world.apply([policyManifest({ name: 'strict' }), groupManifest({ name: 'rest', policy: 'strict' })]);
  const removed = (allowWithdrawal: number) =>
    world.publisher.remove('HostGroup', 'mild', { by: 'uid 7', dryRun: false, allowWithdrawal });
  await rejectsCode('blast_radius_exceeded', /of 2 of 2 hosts/, removed(50));
  await removed(100);
  assert.equal(world.policies.policyFor(hostNamed('0'))?.policy.policy.name, 'strict');
});

test('who gives up waiting ends the work', async () => {
  const world = await policyWorld({ hosts: numbered(50) });
  const gone = new AbortController();
  gone.abort(new Error('the caller is gone'));
  await assert.rejects(world.publisher.simulate(fleet, gone.signal), /the caller is gone/);
  assert.equal(world.judgements.length, 0);
});
