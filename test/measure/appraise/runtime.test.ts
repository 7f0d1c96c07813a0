import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isMeasured } from '../../../src/measure/appraise/is-measured.js';
import type { RuntimeRule } from '../../../src/measure/policy/model.js';
import { bootEvents, COMMAND_LINE, initrd, loadOptions } from '../../support/appraisal-boot.js';
import {
  allRules,
  goodReferences,
  imaFiles,
  referenceSet,
  runtimeRule,
} from '../../support/appraisal-factory.js';
import { buffer, entry, file, type MadeEntry, sha256, violation } from '../../support/appraisal-host.js';
import { codesOf, componentOf, faults, judge, without } from '../../support/appraisal-judge.js';
import { digestField, field, nameField, sha, sigData } from '../../support/ima-list.js';

const runtime = (
  ima: readonly MadeEntry[],
  rule: Partial<RuntimeRule> = {},
  ...sets: ReturnType<typeof referenceSet>[]
) =>
  judge(
    { ima: [...imaFiles, ...ima] },
    { runtime: { ...allRules.runtime, ...rule } },
    goodReferences,
    ...sets,
  );
const codes = (...input: Parameters<typeof runtime>) => codesOf(runtime(...input), 'runtime');

test('files: an unknown one and a modified one fail, and are named with digest, path and place', () => {
  const unknown = runtime([file('/tmp/implant')]);
  assert.equal(unknown.verdict, 'drifted');
  const [reason] = componentOf(unknown, 'runtime').reasons;
  assert.deepEqual(
    { code: reason?.code, event: reason?.event, pcr: reason?.pcr, value: reason?.value, log: reason?.log },
    { code: 'file_unknown', event: 5, pcr: 10, value: sha256('/tmp/implant'), log: 'ima-list' },
  );
  assert.match(
    reason?.message ?? '',
    /entry 5 of the IMA list measured "\/tmp\/implant", which nothing accepts/,
  );
  assert.deepEqual(codes([file('/usr/bin/true', 'patched')]), ['file_modified']);
  assert.deepEqual(
    codes([file('/opt/true', '/usr/bin/true')]),
    ['file_unknown'],
    'a known content elsewhere',
  );
});

test('files: by digest anywhere, by glob and digest, of the set or of the policy', () => {
  const anywhere = referenceSet({ files: [{ digest: sha256('tool'), path: '' }] });
  assert.deepEqual(codes([file('/x/y', 'tool')], {}, anywhere), []);
  const globbed = { accept: [{ digest: sha256('tool'), path: '/opt/*/bin/**' }] };
  assert.deepEqual(codes([file('/opt/a/bin/b/c', 'tool')], globbed), []);
  assert.deepEqual(codes([file('/opt/a/b/bin/c', 'tool')], globbed), ['file_unknown']);
  assert.deepEqual(codes([file('/opt/a/bin/c', 'other')], globbed), ['file_unknown']);
});

test('files: what is excluded is counted and told, and never hides the agent itself', () => {
  const rule = { exclude: ['/var/**', '/usr/lib/touchmark/**'] };
  const result = runtime([file('/var/a'), file('/var/b/c')], rule);
  assert.equal(componentOf(result, 'runtime').result, 'pass');
  assert.deepEqual(codesOf(result, 'runtime'), ['files_excluded']);
  assert.match(componentOf(result, 'runtime').reasons[0]?.message ?? '', /^2 entries/);
  assert.deepEqual(codes([file('/usr/lib/touchmark/agent.js', 'patched')], rule), ['file_modified']);
  assert.deepEqual(codes([file('/usr/lib/touchmark/plugin.js')], rule), ['file_unknown']);
});

test('violations fail, warn or are left, as the rule says, and no path or digest accepts one', () => {
  const known = violation('/usr/bin/true');
  assert.deepEqual(codes([known]), ['file_violation']);
  const warned = runtime([known], { violations: 'warn' });
  assert.equal(componentOf(warned, 'runtime').result, 'warn');
  assert.equal(warned.verdict, 'trusted');
  assert.deepEqual(codes([known], { violations: 'ignore' }), []);
  assert.deepEqual(codes([known], { exclude: ['/usr/**'] }), ['file_violation']);
});

test('entries that no kernel writes, unknown templates and other registers fail', () => {
  const good = sigData('/usr/bin/true');
  assert.deepEqual(codes([entry('vendor', good)]), ['ima_template_unknown']);
  assert.deepEqual(codes([entry('ima-sig', good.subarray(0, 60))]), ['ima_entry_malformed']);
  const forged = { ...file('/usr/bin/true'), bytes: Buffer.from(file('/usr/bin/true').bytes) };
  forged.bytes[4] = (forged.bytes[4] ?? 0) ^ 1;
  assert.deepEqual(codes([forged]), ['ima_entry_forged']);
  assert.deepEqual(codes([buffer('critical', 'state', 'other')]), ['ima_entry_forged']);
  // What stands behind the last entry that the quote covers is not judged.
  const elsewhere = runtime([entry('ima-sig', good, 14), file('/usr/bin/true')]);
  assert.deepEqual(codesOf(elsewhere, 'runtime'), ['ima_pcr_unexpected']);
  assert.deepEqual(codesOf(elsewhere, 'boot-chain'), ['pcr_unexplained']);
});

test('hostile paths are compared whole and shown on one line', () => {
  const nasty = '/usr/bin/true\n10 0 ima-sig sha256:00 /usr/bin/true';
  const result = runtime([file(nasty, '/usr/bin/true')]);
  assert.deepEqual(codesOf(result, 'runtime'), ['file_unknown']);
  const bytes = Buffer.from([0x2f, 0xff, 0xfe, 0x1b, 0x5b]);
  const invalid = entry('ima-sig', sigData(bytes, 'x'));
  const [reason] = componentOf(runtime([invalid]), 'runtime').reasons;
  assert.match(reason?.message ?? '', /^[\x20-\x7e]+$/);
  const nul = Buffer.concat([
    field(digestField('sha256:', sha('sha256', Buffer.from('/usr/bin/true')))),
    field(nameField(Buffer.from('/usr/bin/true\0x'))),
    field(Buffer.alloc(0)),
  ]);
  assert.deepEqual(codes([entry('ima-sig', nul)]), ['ima_entry_malformed']);
});

test('keys and critical data: only what is named', () => {
  assert.deepEqual(codes([buffer('.ima', 'certificate')]), ['ima_key_unknown']);
  assert.deepEqual(codes([buffer('.ima', 'certificate')], { exclude: ['**'] }), ['ima_key_unknown']);
  assert.deepEqual(codes([buffer('selinux-state', 'enforcing=0')]), ['ima_buffer_unknown']);
  const rule = { accept: [{ digest: sha256('enforcing=1'), path: 'selinux-state' }] };
  assert.deepEqual(codes([buffer('selinux-state', 'enforcing=1')], rule), []);
});

test('rules: the list must come from rules that the policy knows', () => {
  const rules = { rules: { policies: [sha256('measure func=BPRM_CHECK')], commandLine: [] } };
  const unproven = runtime([], rules);
  assert.deepEqual(codesOf(unproven, 'runtime'), ['ima_rules_unproven']);
  assert.equal(componentOf(unproven, 'runtime').result, 'unknown');
  assert.equal(unproven.verdict, 'drifted', 'unknown is a failure where a policy is enforced');
  const loaded = file('/etc/ima/ima-policy', 'measure func=BPRM_CHECK');
  assert.deepEqual(codes([loaded], rules), []);
  const weaker = file('/etc/ima/ima-policy', 'dont_measure');
  assert.deepEqual(codes([loaded, weaker], { ...rules, exclude: ['/etc/**'] }), ['ima_policy_unknown']);
  assert.deepEqual(codes([violation('/etc/ima/ima-policy')], { ...rules, violations: 'ignore' }), [
    'ima_rules_unproven',
  ]);
  assert.deepEqual(codes([], { rules: { policies: [], commandLine: ['ima_policy=secure'] } }), [
    'ima_rules_unproven',
  ]);
  assert.ok(COMMAND_LINE.includes('ima_policy=tcb'));
});

test('rules: a file of rules counts only where it is loaded from, under a line that has it measured, and both where both are named', () => {
  const rules = (policies: string[], commandLine: string[] = []) => ({
    ...{ agentMeasured: false, rules: { policies: policies.map((text) => sha256(text)), commandLine } },
  });
  const loaded = file('/etc/ima/ima-policy', 'the rules');
  const copy = referenceSet({ files: [{ digest: sha256('the rules'), path: '' }] });
  assert.deepEqual(codes([loaded], rules(['the rules'])), []);
  assert.deepEqual(codes([file('/tmp/copy', 'the rules')], rules(['the rules']), copy), [
    'ima_rules_unproven',
  ]);
  assert.deepEqual(codes([], rules(['the rules'], ['ima_policy=tcb'])), ['ima_rules_unproven']);
  assert.deepEqual(codes([loaded], rules(['the rules'], ['ima_policy=tcb'])), []);
  assert.deepEqual(codes([loaded], rules(['the rules'], ['lockdown=integrity'])), ['ima_rules_unproven']);
  const lines: [string, string[]][] = [
    ['root=/dev/vda2 ima_policy=tcb|critical_data', []],
    ['root=/dev/vda2 ima_policy=critical_data|tcb', []],
    ['root=/dev/vda2 ima_policy=critical_data', ['ima_rules_unproven']],
    ['root=/dev/vda2 -- ima_policy=tcb', ['ima_rules_unproven']],
    ['root=/dev/vda2', ['ima_rules_unproven']],
  ];
  for (const [line, expected] of lines) {
    const boot = [...bootEvents.filter(({ pcr }) => ![9, 11].includes(pcr)), loadOptions(line)];
    const known = referenceSet({ commandLines: [line] });
    const policy = { runtime: { ...allRules.runtime, ...rules(['the rules']) } };
    const result = judge({ boot, ima: [...imaFiles, loaded] }, policy, goodReferences, known);
    assert.deepEqual(codesOf(result, 'runtime'), expected, line);
  }
});

test('rules: a file that takes the place of those of the command line must be accepted, and is never excluded', () => {
  const weak = file('/etc/ima/ima-policy', 'dont_measure');
  assert.deepEqual(codes([weak], { exclude: ['/etc/**'] }), ['ima_policy_unknown']);
  const accepted = referenceSet({ files: [{ digest: sha256('dont_measure'), path: '/etc/ima/*' }] });
  assert.deepEqual(codes([weak], {}, accepted), []);
});

test('rules: a policy of the run-time alone rests on the boot log, so that all that may be another line must be named', () => {
  const alone = without('firmware', 'firmwareConfig', 'secureBoot', 'bootChain', 'commandLine', 'userspace');
  assert.deepEqual(faults(judge({}, alone)), {});
  const boot = [...bootEvents.filter(({ pcr }) => pcr !== 9), initrd('init=/bin/sh')];
  assert.deepEqual(faults(judge({ boot }, alone)), { runtime: ['command_line_uncertain'] });
  const weaker = { ...alone, bootChain: { ...allRules.bootChain, onFail: 'warn' } } as const;
  assert.deepEqual(codesOf(judge({ boot }, weaker), 'runtime'), ['command_line_uncertain']);
  const strict = { ...alone, bootChain: allRules.bootChain };
  assert.deepEqual(faults(judge({ boot }, strict)), { 'boot-chain': ['boot_event_unknown'] });
  const hidden = judge({ tamper: (pcrs) => pcrs.set(12, Buffer.alloc(32, 1)) }, alone);
  assert.deepEqual(codesOf(hidden, 'runtime'), ['pcr_unexplained']);
});

test('templates: formats in which something else would be the name are not understood', () => {
  const data = (path: string, last: string) =>
    Buffer.concat([
      field(digestField('sha256:', sha('sha256', Buffer.from(path)))),
      field(nameField(path)),
      field(Buffer.from(last, 'latin1')),
    ]);
  const evil = data('/usr/bin/evil', '\x03/excluded\0');
  const rule = { exclude: ['**/excluded'] };
  const formats = [
    'd-ng|modsig|n-ng',
    'd-ng|n-ng|n-ng',
    'd-ng|n-ng|n',
    'n-ng|d-ng|sig',
    'd-ng|n|sig',
    'd-ng|sig|n-ng',
    'd-ng',
  ];
  for (const format of formats) {
    const result = runtime([entry(format, evil)], rule);
    assert.deepEqual(codesOf(result, 'runtime'), ['ima_template_unknown'], format);
    assert.equal(isMeasured(result.newState, sha256('/usr/bin/evil')), false, format);
  }
  for (const format of ['ima-sig', 'd-ng|n-ng|sig', 'd-ng|n-ng|modsig']) {
    assert.deepEqual(codes([entry(format, evil)], rule), ['file_unknown'], format);
    assert.deepEqual(codes([entry(format, data('/usr/bin/true', '\x03'))]), [], format);
  }
  assert.deepEqual(codes([entry('ima-sig', data('', ''))]), ['ima_entry_malformed'], 'a name of nothing');
  const key = data('.ima', '\x03key');
  assert.deepEqual(
    codes([entry('ima-sig', key)], { exclude: ['.*'] }),
    ['file_unknown'],
    'no name of a file',
  );
});

test('the agent: all files of one version of its package must be in the list', () => {
  const without = judge({ ima: imaFiles.slice(0, 2) });
  assert.deepEqual(faults(without), { runtime: ['agent_not_measured'] });
  assert.equal(componentOf(without, 'runtime').reasons[0]?.value, '/usr/lib/touchmark/node');
  const next = referenceSet({
    files: ['/usr/lib/touchmark/agent.js', '/usr/lib/touchmark/new.js'].map((path) => ({
      digest: sha256(`${path} 2`),
      path,
    })),
  });
  assert.deepEqual(codes([], {}, next), [], 'the next version is accepted too');
  const agent = '/usr/lib/touchmark/agent.js';
  const others = imaFiles.filter(({ bytes }) => !bytes.includes(agent));
  const old = { ima: [...others, file(agent, 'old agent')] };
  const elsewhere = referenceSet({ files: [{ digest: sha256('old agent'), path: '' }] });
  assert.deepEqual(
    codesOf(judge(old, {}, goodReferences, elsewhere), 'runtime'),
    ['agent_not_measured'],
    'content that is accepted anywhere is not the agent',
  );
  const either = referenceSet({
    files: ['old agent', agent].map((content) => ({ digest: sha256(content), path: agent })),
  });
  assert.deepEqual(codesOf(judge(old, {}, { ...goodReferences, files: [] }, either), 'runtime'), [
    'file_unknown',
    'file_unknown',
  ]);
  const bare = judge({}, {}, { ...goodReferences, files: [{ digest: sha256('/usr/bin/true'), path: '' }] });
  assert.ok(codesOf(bare, 'runtime').includes('agent_not_referenced'));
  assert.deepEqual(faults(judge({ ima: imaFiles.slice(0, 2) }, { runtime: runtimeRule })), {});
});

test('what the kernel measured in this boot can be asked for; violations and buffers do not count', () => {
  const verity = Buffer.concat([
    field(digestField('verity:sha256:', sha('sha256', Buffer.from('tree')))),
    field(nameField('/usr/bin/sealed')),
    field(Buffer.alloc(0)),
  ]);
  const { newState } = runtime([
    file('/tmp/implant'),
    violation('/tmp/written'),
    buffer('selinux-state', 'state'),
    entry('ima-sigv2', verity),
    entry('vendor', sigData('/tmp/vendor')),
    entry('ima-sig', sigData('/tmp/other'), 14),
    file('memfd:x', 'anonymous'),
  ]);
  assert.equal(isMeasured(newState, sha256('/usr/bin/true')), true);
  assert.equal(isMeasured(newState, sha256('/tmp/implant')), true, 'measured, if not accepted');
  assert.equal(isMeasured(newState, `verity:${sha256('tree')}`), true);
  for (const content of ['tree', 'state', '/tmp/vendor', '/tmp/other', 'anonymous', Buffer.alloc(32)]) {
    assert.equal(isMeasured(newState, sha256(content)), false, String(content));
  }
  assert.equal(isMeasured(newState, `sha256:${'00'.repeat(32)}`), false, 'the digest that violations show');
  assert.equal(isMeasured(newState, 'sha1:00'), false);
  assert.equal(bootEvents.length > 0, true);
});
