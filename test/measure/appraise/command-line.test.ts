import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventType } from '../../../src/measure/boot/event-types.js';
import {
  bootEvents,
  COMMAND_LINE,
  initrd,
  loadOptions,
  sectionEvents,
} from '../../support/appraisal-boot.js';
import { allRules, goodReferences, referenceSet } from '../../support/appraisal-factory.js';
import { sha256 } from '../../support/appraisal-host.js';
import { codesOf, componentOf, faults, judge, without } from '../../support/appraisal-judge.js';
import type { MadeEvent } from '../../support/boot-log-factory.js';

/** The good log with one event changed, left out (`undefined`) or followed by more. */
function changed(which: (event: MadeEvent) => boolean, ...by: MadeEvent[]): MadeEvent[] {
  const at = bootEvents.findIndex(which);
  assert.ok(at >= 0);
  return [...bootEvents.slice(0, at), ...by, ...bootEvents.slice(at + 1)];
}
const with_ = (...events: MadeEvent[]) => [...bootEvents, ...events];
const row = (data: string | Uint8Array) => ({ digest: sha256(data), label: '' });
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

test('command-line: the line of an image that another image started is judged too', () => {
  const boot = [...bootEvents, ...sectionEvents([{ name: '.cmdline', content: 'init=/bin/sh' }])];
  const result = judge({ boot }, without('bootChain'));
  assert.deepEqual(codesOf(result, 'command-line'), ['command_line_unknown']);
});

test('command-line: what merely claims to be a line is left to its rule only where that is as strict as the boot chain', () => {
  const evil = { ...initrd('evil initrd'), data: loadOptions('').data ?? '' };
  const inPcr8 = {
    pcr: 8,
    type: eventType.ipl,
    data: 'kernel_cmdline: insmod evil',
    measured: 'insmod evil',
  };
  const bytes = Buffer.from('\u0001\u0002evil credential', 'utf16le');
  const inPcr12 = { pcr: 12, type: eventType.ipl, data: bytes };
  const rank = ['warn', 'suspect', 'drift'] as const;
  for (const event of [evil, inPcr8, inPcr12]) {
    for (const chain of rank) {
      for (const line of [...rank, undefined]) {
        const rules = {
          ...without('userspace', 'runtime'),
          bootChain: { ...allRules.bootChain, onFail: chain },
          ...(line ? { commandLine: { ...allRules.commandLine, onFail: line } } : without('commandLine')),
        };
        const { verdict } = judge({ boot: with_(event) }, rules);
        const worst = Math.max(rank.indexOf(chain), line ? rank.indexOf(line) : 0);
        const expected = (['trusted', 'suspect', 'drifted'] as const)[worst];
        assert.equal(verdict, expected, `PCR ${event.pcr}: ${chain} and ${line ?? 'no rule'}`);
      }
    }
  }
});

test('command-line: a line of GRUB that is hidden by its type is found where no boot chain answers as strictly', () => {
  const good = '/boot/vmlinuz root=/dev/vda2 ro ima_policy=tcb';
  const evil = '/boot/vmlinuz init=/bin/sh';
  const base = bootEvents.filter(({ pcr }) => ![9, 11].includes(pcr));
  const boot = [
    ...base,
    grub(`kernel_cmdline: ${good}`),
    { pcr: 8, type: eventType.action, data: 'x', measured: evil },
  ];
  const named = referenceSet({ commandLines: [good] });
  const weaker = { bootChain: { ...allRules.bootChain, onFail: 'warn' } } as const;
  for (const chain of [without('bootChain'), weaker]) {
    const rules = { ...chain, ...without('runtime', 'userspace') };
    const result = judge({ boot }, rules, goodReferences, named);
    assert.deepEqual(codesOf(result, 'command-line'), ['command_line_uncertain']);
    assert.equal(result.verdict, 'drifted');
  }
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
    userspace: ['userspace_record_moved'],
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
