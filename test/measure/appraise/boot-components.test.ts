import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventType } from '../../../src/measure/boot/event-types.js';
import {
  action,
  bootEvents,
  COMMAND_LINE,
  globalVariable,
  image,
  initrd,
  loadOptions,
  sectionEvents,
  ukiSections,
} from '../../support/appraisal-boot.js';
import { allRules, goodReferences, referenceSet } from '../../support/appraisal-factory.js';
import { sha256 } from '../../support/appraisal-host.js';
import { codesOf, componentOf, faults, judge } from '../../support/appraisal-judge.js';
import type { MadeEvent } from '../../support/boot-log-factory.js';

/** The good log with one event changed, left out (`undefined`) or followed by more. */
function changed(which: (event: MadeEvent) => boolean, ...by: MadeEvent[]): MadeEvent[] {
  const at = bootEvents.findIndex(which);
  assert.ok(at >= 0);
  return [...bootEvents.slice(0, at), ...by, ...bootEvents.slice(at + 1)];
}
const with_ = (...events: MadeEvent[]) => [...bootEvents, ...events];
const row = (data: string | Uint8Array) => ({ digest: sha256(data), label: '' });
const firmware = (data: string): MadeEvent => ({ pcr: 0, type: eventType.postCode, data });
const grub = (text: string, measured = text.replace(/^\w+: /, '')): MadeEvent => ({
  pcr: 8,
  type: eventType.ipl,
  data: `${text}\0`,
  measured,
});
const stubLine = (text: string): MadeEvent => {
  const data = Buffer.from(`${text}\0`, 'utf16le');
  return { pcr: 12, type: eventType.ipl, data };
};

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

test('command-line: one that is not named fails with its text, in whatever register it stands', () => {
  const evil = 'root=/dev/vda2 init=/bin/sh';
  const rows: [MadeEvent, string | undefined][] = [
    [stubLine(evil), evil],
    [grub(`kernel_cmdline: ${evil}`), evil],
    [loadOptions(evil), undefined],
  ];
  for (const [event, text] of rows) {
    const result = judge({ boot: with_(event) });
    const { reasons } = componentOf(result, 'command-line');
    assert.equal(reasons[0]?.code, 'command_line_unknown');
    assert.equal(reasons[0]?.value, text);
    assert.equal(result.verdict, 'drifted');
  }
});

test('command-line: text that is shown elsewhere in the log gives a digest its text', () => {
  const line = 'root=/dev/vda2 ro ima_policy=tcb debug';
  const boot = [...bootEvents, stubLine(line), loadOptions(line)];
  const { reasons } = componentOf(judge({ boot }), 'command-line');
  assert.deepEqual(
    reasons.map(({ code, value }) => [code, value]),
    [
      ['command_line_unknown', line],
      ['command_line_unknown', line],
    ],
  );
  const rule = { commandLine: { ...allRules.commandLine, accept: ['root=* ro ima_policy=tcb **'] } };
  assert.equal(judge({ boot }, rule).verdict, 'trusted');
});

test('command-line: a glob is matched word by word, so that no star takes in a further parameter', () => {
  const rule = (...accept: string[]) => ({ commandLine: { ...allRules.commandLine, require: [], accept } });
  const accepts = (glob: string, line: string) =>
    !codesOf(judge({ boot: with_(stubLine(line)) }, rule(glob)), 'command-line').includes(
      'command_line_unknown',
    );
  assert.equal(accepts('root=UUID=* ro', 'root=UUID=1 ro'), true);
  assert.equal(accepts('root=UUID=* ro', 'root=UUID=1 single ro'), false);
  assert.equal(accepts('root=* ro', 'root=/dev/vda2 ro'), true, 'a star in a word also covers a slash');
  assert.equal(accepts('root=* **', 'root=/dev/vda2 a b c'), true);
  assert.equal(accepts('root=* **', 'a root=/dev/vda2'), false);
  assert.equal(accepts('** quiet', 'a b quiet'), true);
  assert.equal(accepts('a ** b ** c', 'a b x b c'), true);
  assert.equal(accepts('a ** b ** c', 'a x c'), false);
});

test('command-line: words that are required and forbidden, as the kernel reads them', () => {
  const rule = (require: string[], forbid: string[]) => ({
    commandLine: { ...allRules.commandLine, accept: ['**'], require, forbid },
  });
  const codes = (line: string, require: string[], forbid: string[]) =>
    codesOf(
      judge({ boot: [...bootEvents, stubLine(line), loadOptions(line)] }, rule(require, forbid)),
      'command-line',
    );
  assert.deepEqual(codes('a lockdown=integrity', ['lockdown=*'], []), ['command_line_word_missing']);
  const only = (line: string, require: string[], forbid: string[]) => {
    const boot = changed(
      ({ pcr, measured }) => pcr === 9 && typeof measured !== 'string',
      stubLine(line),
      loadOptions(line),
    );
    return codesOf(judge({ boot }, rule(require, forbid)), 'command-line');
  };
  assert.deepEqual(only('a lockdown=integrity', ['lockdown=*'], []), []);
  assert.deepEqual(only('a -- lockdown=integrity', ['lockdown=*'], []), ['command_line_word_missing']);
  for (const line of ['init=/bin/sh', '"init=/bin/sh"', 'x init=/bin/sh y', '-- init=/bin/sh']) {
    assert.ok(only(line, [], ['init=*']).includes('command_line_word_forbidden'), line);
  }
  assert.ok(only('ima-appraise=off', [], ['ima_appraise=off']).includes('command_line_word_forbidden'));
});

test('command-line: a required word counts in the line that the running kernel was given, not in one that was replaced', () => {
  const replaced = 'root=/dev/vda2 ro';
  const boot = changed(
    ({ pcr, measured }) => pcr === 9 && typeof measured !== 'string',
    stubLine(replaced),
    loadOptions(replaced),
  );
  const rule = { commandLine: { ...allRules.commandLine, accept: ['root=* ro'] } };
  const result = judge({ boot }, rule);
  assert.deepEqual(codesOf(result, 'command-line'), ['command_line_word_missing']);
  // For the same reason the embedded line no longer shows that IMA has rules.
  assert.deepEqual(codesOf(result, 'runtime'), ['ima_rules_unproven']);
});

test('command-line: a line hidden under another label is found by the boot chain, or here where nothing else is as strict', () => {
  const hidden = { ...initrd('x'), measured: Buffer.from('init=/bin/sh\0', 'utf16le') };
  const result = judge({ boot: with_(hidden) });
  assert.deepEqual(faults(result), { 'boot-chain': ['boot_event_unknown'] });
  const weak = { bootChain: { ...allRules.bootChain, onFail: 'warn' } } as const;
  assert.deepEqual(faults(judge({ boot: with_(hidden) }, weak)), {
    'boot-chain': ['boot_event_unknown'],
    'command-line': ['command_line_uncertain'],
  });
  assert.equal(judge({ boot: with_(hidden) }, weak).verdict, 'drifted');
  const asCommand = grub('grub_cmd: (hd0)/vmlinuz init=/bin/sh');
  assert.ok(codesOf(judge({ boot: with_(asCommand) }), 'command-line').includes('command_line_unknown'));
});

test('command-line: what GRUB measured as a command is not accepted as a command line where nobody judges lines', () => {
  const { commandLine: _, ...others } = allRules;
  const boot = with_(grub('kernel_cmdline: insmod evil'));
  const result = judge({ boot }, { ...others, commandLine: allRules.commandLine });
  assert.deepEqual(codesOf(result, 'command-line'), ['command_line_unknown']);
  const unjudged = judge({ boot }, { commandLine: undefined } as never);
  assert.deepEqual(faults(unjudged), { 'boot-chain': ['boot_event_unknown'] });
});

test('command-line: a line of which only the digest is known is accepted by it, but its words are not', () => {
  const boot = changed(
    ({ pcr, measured }) => pcr === 9 && typeof measured !== 'string',
    loadOptions('secret'),
  );
  const named = referenceSet({ bootChain: [row(Buffer.from('secret\0', 'utf16le'))] });
  const result = judge({ boot }, {}, goodReferences, named);
  assert.deepEqual(codesOf(result, 'command-line'), ['command_line_unreadable']);
  assert.equal(componentOf(result, 'command-line').result, 'unknown');
  const wordless = { commandLine: { ...allRules.commandLine, require: [], forbid: [] } };
  assert.deepEqual(codesOf(judge({ boot }, wordless, goodReferences, named), 'command-line'), []);
});

test('command-line: none at all is unknown', () => {
  const boot = bootEvents.filter(({ pcr }) => pcr !== 9 && pcr !== 11);
  const result = judge({ boot });
  assert.deepEqual(codesOf(result, 'command-line'), ['command_line_missing']);
  assert.equal(componentOf(result, 'command-line').result, 'unknown');
});

test('command-line: GRUB hands a line on with BOOT_IMAGE= in front', () => {
  const line = '(hd0,gpt2)/vmlinuz root=/dev/vda2 ro ima_policy=tcb';
  const boot = [
    ...bootEvents.filter(({ pcr }) => ![9, 11].includes(pcr)),
    grub(`grub_cmd: linux ${line}`),
    grub(`kernel_cmdline: ${line}`),
    loadOptions(`BOOT_IMAGE=${line}`),
  ];
  const named = referenceSet({ commandLines: [line], bootChain: [row(`linux ${line}`)] });
  assert.deepEqual(faults(judge({ boot }, {}, goodReferences, named)), {});
  assert.equal(COMMAND_LINE.includes('ima_policy=tcb'), true);
});
