import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ErrorCode } from '../../../src/error-table.js';
import { measuringTypeNames } from '../../../src/measure/boot/event-types.js';
import { checkManifest } from '../../../src/measure/policy/check.js';
import { digestOf, policyManifest } from '../../support/policy-manifests.js';
import { throwsCode } from '../../support/rejects.js';

function refused(manifest: unknown, message: RegExp, code: ErrorCode = 'manifest_invalid'): void {
  throwsCode(code, message, () => checkManifest(manifest));
}

test('a policy that checks nothing is refused', () => {
  const none = { references: [], bootChain: undefined, runtime: undefined };
  const nothing = (changes: Record<string, unknown>, message: RegExp) =>
    refused(policyManifest({ ...none, ...changes }), message, 'policy_checks_nothing');
  nothing({}, /^MeasurementPolicy uki-fleet: no component has a rule; write at least one/);
  nothing({ secureBoot: { onFail: 'warn' }, userspace: { onFail: 'warn' } }, /every rule only warns/);
  nothing({ firmware: {} }, /firmware: has nothing to compare with: name references, or accept digests/);
  nothing(
    { firmwareConfig: { ignoreTypes: ['EV_CPU_MICROCODE'] } },
    /firmwareConfig: has nothing to compare with/,
  );
  nothing({ bootChain: {} }, /bootChain: has nothing to compare with/);
  for (const more of [{}, { references: ['uki'] }, { references: ['uki'], bootChain: {} }])
    nothing(
      { secureBoot: { enabled: false, accept: [digestOf(1)] }, ...more },
      /secureBoot: asks neither for Secure Boot nor for any key/,
    );
  nothing({ commandLine: {} }, /commandLine: has nothing to compare with/);
  for (const commandLine of [
    { accept: ['**'] },
    { accept: ['* **'] },
    { accept: ['** **'] },
    { accept: ['*', '* ** *'] },
    { accept: ['**'], require: ['*'] },
    { accept: ['**'], forbid: ['zzzz'] },
  ]) {
    nothing(
      { commandLine, references: ['uki'] },
      /commandLine\.accept: accepts every command line, init=\/bin\/sh too/,
    );
  }
  nothing(
    { userspace: { accept: ['**'] } },
    /userspace\.accept: accepts everything that user space measures/,
  );
  const rules = { policies: [digestOf(1)] };
  nothing({ runtime: { rules } }, /runtime: has nothing to compare with: name references, or accept files/);
  nothing(
    { runtime: { rules, signed: true } },
    /runtime: the keys of signed files come from reference sets: name one/,
  );
  const accept = [{ digest: digestOf(1) }];
  nothing(
    { runtime: { accept } },
    /runtime\.rules: without rules that make IMA measure, an empty list would look healthy/,
  );
  const everywhere = ['bin', 'dev', 'etc', 'home', 'lib*', 'opt', 'r*', 's*', 'tmp', 'usr', 'var'];
  for (const exclude of [['**'], ['/**'], ['**/*'], ['/?**'], everywhere.map((name) => `/${name}/**`)])
    nothing(
      { runtime: { rules, accept, exclude: ['/var/lib/x/**', ...exclude] } },
      /runtime\.exclude: leaves out every file/,
    );
  for (const word of [
    'quiet',
    'ima_policy=critical_data',
    'ima_policy=appraise_tcb',
    'ima_hash=sha256',
    'tcb',
  ])
    nothing(
      { runtime: { accept, rules: { commandLine: ['ima_policy=tcb', word] } } },
      /runtime\.rules\.commandLine\[1\]: "[a-z_=0-9]+" does not make IMA measure files; ima_policy=tcb does/,
    );
  nothing(
    { firmware: { accept: [digestOf(1)], ignoreTypes: measuringTypeNames } },
    /firmware\.ignoreTypes: leaves out every type of event/,
  );
  nothing(
    { userspace: { accept: ['*', '**/**'] } },
    /userspace\.accept: accepts everything that user space measures/,
  );
});

test('a type of events that there is not is told, with the nearest', () => {
  for (const key of ['firmware', 'firmwareConfig'])
    refused(
      policyManifest({ [key]: { ignoreTypes: ['EV_EFI_ACTION', 'EV_EFI_VARIABLE_BOOTS'] } }),
      new RegExp(
        `${key}\\.ignoreTypes\\[1\\]: "EV_EFI_VARIABLE_BOOTS" is no type .*mean "EV_EFI_VARIABLE_BOOT"`,
      ),
    );
});

test('a policy that checks something is let in', () => {
  const base = { references: [], bootChain: undefined, runtime: undefined };
  for (const changes of [
    { secureBoot: {} },
    { secureBoot: { enabled: false, revokedAtLeast: [digestOf(1)] } },
    { userspace: {} },
    { commandLine: { forbid: ['init=*'] } },
    { commandLine: { accept: ['**'], forbid: ['init=*'] } },
    { commandLine: { accept: ['**'], require: ['lockdown=integrity'] } },
    {
      runtime: { accept: [{ digest: digestOf(1) }], rules: { commandLine: ['ima_policy=tcb|appraise_tcb'] } },
    },
    { firmware: { accept: [digestOf(1)] } },
    { runtime: { accept: [{ digest: digestOf(1) }] }, mode: 'report' },
  ]) {
    assert.equal(checkManifest(policyManifest({ ...base, ...changes })).kind, 'MeasurementPolicy');
  }
});
