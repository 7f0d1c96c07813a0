import assert from 'node:assert/strict';
import { test } from 'node:test';
import { appraise } from '../../../src/measure/appraise/appraise.js';
import { eventType } from '../../../src/measure/boot/event-types.js';
import {
  action,
  bootEvents,
  globalVariable,
  image,
  initrd,
  sectionEvents,
  ukiSections,
} from '../../support/appraisal-boot.js';
import {
  allRules,
  goodHost,
  goodReferences,
  referenceSet,
  resolved,
} from '../../support/appraisal-factory.js';
import { measure, sha256 } from '../../support/appraisal-host.js';
import { codesOf, componentOf, faults, judge } from '../../support/appraisal-judge.js';
import { locality, type MadeEvent } from '../../support/boot-log-factory.js';

/** The good log with one event changed, left out (`undefined`) or followed by more. */
function changed(which: (event: MadeEvent) => boolean, ...by: MadeEvent[]): MadeEvent[] {
  const at = bootEvents.findIndex(which);
  assert.ok(at >= 0);
  return [...bootEvents.slice(0, at), ...by, ...bootEvents.slice(at + 1)];
}
const with_ = (...events: MadeEvent[]) => [...bootEvents, ...events];
const row = (data: string | Uint8Array) => ({ digest: sha256(data), label: '' });
const firmware = (data: string): MadeEvent => ({ pcr: 0, type: eventType.postCode, data });

test('a host that shows what the policy names passes every component', () => {
  const result = judge({});
  assert.deepEqual(faults(result), {});
  assert.equal(result.verdict, 'trusted');
  assert.deepEqual(
    result.explanation.components.map(({ component, checked }) => [component, checked]),
    [
      ['firmware', 5],
      ['firmware-config', 3],
      ['secure-boot', 7],
      ['boot-chain', 14],
      ['command-line', 2],
      ['userspace', 5],
      ['runtime', 4],
    ],
  );
});

test('a false start-up locality leaves PCR 0 unexplained, and the host drifts; a true one is trusted', () => {
  const from = (startup: number, ...told: MadeEvent[]) => judge({ startup, boot: [...told, ...bootEvents] });
  for (const result of [from(0), from(3, locality(3)), from(4, locality(4)), from(0, locality(0))]) {
    assert.equal(result.verdict, 'trusted');
  }
  for (const result of [from(0, locality(3)), from(3, locality(4)), from(3), from(4, locality(9))]) {
    assert.equal(result.verdict, 'drifted');
    assert.deepEqual(codesOf(result, 'firmware'), ['pcr_unexplained']);
  }
});

test('firmware: an unknown digest, a lying event, a missing, a second and an error separator fail', () => {
  const isSeparator = ({ pcr, type }: MadeEvent) => pcr === 0 && type === eventType.separator;
  const rows: [MadeEvent[], string[]][] = [
    [with_(firmware('implant')), ['event_digest_unknown']],
    [
      changed(({ data }) => data === 'v1', {
        pcr: 0,
        type: eventType.crtmVersion,
        data: 'v2',
        measured: 'v1',
      }),
      ['event_data_mismatch'],
    ],
    [changed(isSeparator), ['separator_missing']],
    [with_({ pcr: 0, type: eventType.separator, data: Buffer.alloc(4) }), ['separator_repeated']],
    [
      with_({ pcr: 0, type: eventType.postCode, data: 'x', measured: Buffer.alloc(4) }),
      ['separator_repeated'],
    ],
    [
      changed(isSeparator, { pcr: 0, type: eventType.separator, data: Buffer.from('00000001', 'hex') }),
      ['separator_error'],
    ],
    [changed(isSeparator, { pcr: 0, type: eventType.separator, data: 'text' }), ['separator_value']],
  ];
  for (const [boot, codes] of rows) {
    const result = judge({ boot });
    assert.deepEqual(codesOf(result, 'firmware'), codes);
    assert.equal(result.verdict, 'drifted');
  }
});

test('firmware: a type says nothing about a digest, and one that is left out by type is told', () => {
  const relabelled = changed(({ data }) => data === 'blob', {
    ...firmware('volume'),
    measured: 'firmware volume',
  });
  assert.equal(judge({ boot: relabelled }).verdict, 'trusted');
  const rule = { firmware: { ...allRules.firmware, ignoreTypes: ['EV_POST_CODE'] } };
  const result = judge({ boot: with_(firmware('post'), firmware('post 2')) }, rule);
  assert.equal(componentOf(result, 'firmware').result, 'pass');
  assert.deepEqual(codesOf(result, 'firmware'), ['events_ignored']);
  assert.match(componentOf(result, 'firmware').reasons[0]?.message ?? '', /^2 events of type EV_POST_CODE/);
});

test('firmware-config: what a rule only warns of leaves the host trusted, and is told', () => {
  const changedOrder = changed(({ type }) => type === eventType.efiVariableBoot, {
    pcr: 1,
    type: eventType.efiVariableBoot,
    data: globalVariable('BootOrder', '\x02\x00'),
  });
  const result = judge({ boot: changedOrder });
  assert.deepEqual(faults(result), { 'firmware-config': ['event_digest_unknown'] });
  assert.equal(result.verdict, 'trusted');
  const [reason] = componentOf(result, 'firmware-config').reasons;
  assert.deepEqual(
    [reason?.pcr, reason?.log, reason?.value],
    [1, 'boot-log', sha256(globalVariable('BootOrder', '\x02\x00'))],
  );
});

test('boot-chain: images that nothing names, and the kernel of an image that was not started', () => {
  const isImage = ({ measured }: MadeEvent) => measured === 'unified image';
  assert.deepEqual(codesOf(judge({ boot: with_(image('bootkit')) }), 'boot-chain'), ['boot_image_unknown']);
  const started = judge({ boot: changed(isImage, image('other image')) });
  // Without its image, neither the kernel nor the sections nor the initrd are explained by it.
  assert.deepEqual(codesOf(started, 'boot-chain').slice(0, 3), [
    'boot_image_unknown',
    'boot_kernel_foreign',
    'boot_event_unknown',
  ]);
  const late = judge({ boot: with_(image('unified image')) });
  assert.equal(late.verdict, 'trusted', 'the same image twice');
  const before = changed(isImage);
  const at = before.findIndex(({ measured }) => measured === 'kernel image pe');
  const swapped = judge({
    boot: [...before.slice(0, at + 1), image('unified image'), ...before.slice(at + 1)],
  });
  assert.deepEqual(codesOf(swapped, 'boot-chain'), ['boot_kernel_foreign'], 'kernel before its image');
});

test('boot-chain: actions of the firmware are known by their digest, others are not', () => {
  assert.equal(
    judge({ boot: with_(action(4, 'Returning from EFI Application from Boot Option')) }).verdict,
    'trusted',
  );
  assert.deepEqual(codesOf(judge({ boot: with_(action(4, 'Booting from elsewhere')) }), 'boot-chain'), [
    'boot_image_unknown',
  ]);
});

test('boot-chain: a digest of a reference set or of the policy is an accepted image', () => {
  const boot = with_(image('shim'));
  const named = referenceSet({ bootChain: [row('shim')] });
  assert.equal(judge({ boot }, {}, goodReferences, named).verdict, 'trusted');
  const rule = { bootChain: { ...allRules.bootChain, accept: [sha256('shim')] } };
  assert.equal(judge({ boot }, rule).verdict, 'trusted');
});

test('boot-chain: sections of PCR 11 must be those of the one image that was started, in their order', () => {
  const [first] = goodReferences.ukis;
  assert.ok(first);
  const second = {
    ...first,
    image: [sha256('second image')],
    kernel: [sha256('second kernel')],
    sections: first.sections.map((section) =>
      section.name === '.initrd' ? { name: '.initrd', digests: [sha256('initrd 2')] } : section,
    ),
  };
  const references = { ...goodReferences, ukis: [first, second] };
  const withSections = (sections: readonly { name: string; content: string }[]) => [
    ...bootEvents.filter(({ pcr }) => pcr !== 11),
    ...sectionEvents(sections),
  ];
  const [linux, osrel, line] = ukiSections;
  const rows: [{ name: string; content: string }[], string[]][] = [
    [[linux, osrel, line, { name: '.initrd', content: 'initrd 2' }], ['uki_sections_mixed']],
    [[linux, osrel, line, { name: '.initrd', content: 'evil' }], ['uki_sections_unknown']],
    [[osrel, linux, line, ukiSections[3]], ['uki_sections_mixed']],
    [[linux, osrel, line], ['uki_sections_mixed']],
    [
      [...ukiSections, { name: '.splash', content: 'picture' }],
      ['uki_sections_unknown', 'uki_sections_unknown'],
    ],
  ];
  for (const [sections, codes] of rows) {
    const result = judge({ boot: withSections(sections) }, {}, references);
    assert.deepEqual(codesOf(result, 'boot-chain'), codes);
    assert.equal(result.verdict, 'drifted');
  }
});

test('a unified image is named once it was started and its sections were measured, under an accepted boot chain', () => {
  assert.deepEqual(judge({}).ukis, ['image 1']);
  const [first] = goodReferences.ukis;
  assert.ok(first);
  const named = (...labels: string[]) => ({
    ...goodReferences,
    ukis: labels.map((label) => ({ ...first, label })),
  });
  assert.deepEqual(
    judge({}, {}, named('a', 'b', 'a', '')).ukis,
    ['a', 'b'],
    'one image under several labels',
  );
  const { bootChain: _, ...without } = allRules;
  const { evidence } = measure(goodHost);
  assert.deepEqual(appraise(evidence, undefined, resolved(without, [goodReferences])).ukis, []);
  assert.deepEqual(appraise(evidence, undefined, undefined).ukis, []);
  const others: [string, Parameters<typeof judge>[0]][] = [
    ['an image beside it that nobody accepted', { boot: with_(image('bootkit')) }],
    ['no sections', { boot: bootEvents.filter(({ pcr }) => pcr !== 11) }],
    ['another image', { boot: changed(({ measured }) => measured === 'unified image', image('shim')) }],
    ['a register that holds something else', { tamper: (pcrs) => pcrs.set(4, Buffer.alloc(32, 1)) }],
  ];
  const shim = referenceSet({ bootChain: [row('shim'), row('kernel image pe'), row('initrd')] });
  for (const [what, host] of others) assert.deepEqual(judge(host, {}, goodReferences, shim).ukis, [], what);
  assert.deepEqual(judge({}, {}, goodReferences, shim).ukis, ['image 1']);
});

test('boot-chain: what loaders measure into PCR 8, 9, 12, 13 and 14 is judged by its digest', () => {
  for (const pcr of [8, 9, 12, 13, 14]) {
    const event = { pcr, type: eventType.ipl, data: 'odd', measured: 'something' };
    const result = judge({ boot: with_(event) });
    assert.deepEqual(codesOf(result, 'boot-chain'), ['boot_event_unknown'], `PCR ${pcr}`);
    const named = referenceSet({ bootChain: [row('something')] });
    assert.equal(judge({ boot: with_(event) }, {}, goodReferences, named).verdict, 'trusted', `PCR ${pcr}`);
  }
  assert.deepEqual(faults(judge({ boot: with_({ pcr: 5, type: eventType.ipl, data: 'gpt' }) })), {}, 'PCR 5');
  assert.deepEqual(codesOf(judge({ boot: with_(initrd('other initrd')) }), 'boot-chain'), [
    'boot_event_unknown',
  ]);
});

test('boot-chain and firmware: a log that measures nothing passes nothing', () => {
  const empty = judge({ boot: [] });
  assert.equal(empty.verdict, 'drifted');
  assert.deepEqual(codesOf(empty, 'firmware'), ['nothing_measured']);
  assert.equal(componentOf(empty, 'firmware').result, 'unknown');
  assert.deepEqual(codesOf(empty, 'boot-chain').slice(0, 1), ['nothing_measured']);
});
