import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { codesOf, failing } from '../support/vm-domain.js';
import { goodCommandLine, noGuestsHere } from '../support/vm-image.js';
import { bootAgain, goodHost, type VmWorld, vmWorld } from '../support/vm-world.js';

const imaList = '/sys/kernel/security/ima/binary_runtime_measurements';
const withoutRules = goodCommandLine.replace('ima_policy=tcb|critical_data ', '');

describe('a trusted host that starts anew', { skip: noGuestsHere() }, () => {
  let world: VmWorld;
  before(async () => {
    world = await vmWorld();
  });

  test('stays trusted, without a person, when it boots the same image', async () => {
    await using host = await goodHost(world);
    const first = await host.guest.run('cat /proc/sys/kernel/random/boot_id');
    await using again = await bootAgain(host.guest);
    assert.notEqual(await again.run('cat /proc/sys/kernel/random/boot_id'), first);
    await again.run('until systemctl -q is-active touchmark-agent; do sleep 0.2; done', 60_000);
    assert.deepEqual(codesOf(await host.domain.hostIs(['trusted'])), []);
    await host.neighbour.isUntouched();
  });

  test('drifts when it boots with another command line', async () => {
    await using host = await goodHost(world);
    const { esp } = await world.image.uki(`${goodCommandLine} init_on_alloc=0`);
    await using again = await bootAgain(host.guest, { esp });
    const codes = ['command_line_unknown', 'boot_image_unknown', 'uki_sections_unknown'];
    const shown = await host.domain.hostIs(['drifted'], codes);
    // What is not accepted proves no rules of IMA either.
    assert.deepEqual(failing(shown), ['boot-chain', 'command-line', 'runtime']);
    await host.neighbour.isUntouched();
    void again;
  });

  test('drifts when it boots another image, signed by the same key', async () => {
    await using host = await goodHost(world);
    const { esp } = await world.image.uki(goodCommandLine, '2');
    await using again = await bootAgain(host.guest, { esp });
    const shown = await host.domain.hostIs(['drifted'], ['boot_image_unknown', 'uki_sections_unknown']);
    assert.deepEqual(failing(shown), ['boot-chain']);
    await host.neighbour.isUntouched();
    void again;
  });

  test('drifts when Secure Boot is turned off', async () => {
    await using host = await goodHost(world);
    await using again = await bootAgain(host.guest, { vars: world.image.varsOff });
    const shown = await host.domain.hostIs(['drifted'], ['secure_boot_off']);
    assert.deepEqual(failing(shown), ['secure-boot']);
    await host.neighbour.isUntouched();
    void again;
  });

  test('drifts when it shows the list of an earlier boot', async () => {
    await using host = await goodHost(world);
    await host.guest.run(`cp ${imaList} /var/old-list; systemctl disable touchmark-agent`);
    await using again = await bootAgain(host.guest);
    await again.run(`mount --bind /var/old-list ${imaList} && systemctl --no-block start touchmark-agent`);
    const codes = ['pcr_unexplained', 'nothing_measured', 'kexec_uncertain'];
    const shown = await host.domain.hostIs(['drifted'], codes);
    assert.deepEqual(failing(shown), ['boot-chain', 'runtime']);
    await host.neighbour.isUntouched();
  });

  test('drifts when its IMA rules become weaker', async () => {
    await using host = await goodHost(world);
    await host.guest.run("sed -i '/BPRM_CHECK/d' /etc/ima/ima-policy");
    await using again = await bootAgain(host.guest);
    const shown = await host.domain.hostIs(['drifted'], ['ima_policy_unknown', 'ima_rules_unproven']);
    assert.deepEqual(failing(shown), ['runtime']);
    await host.neighbour.isUntouched();
    void again;
  });

  test('drifts when IMA is off', async () => {
    await using host = await goodHost(world);
    await host.guest.run('rm /etc/ima/ima-policy');
    const { esp } = await world.image.uki(withoutRules);
    await using again = await bootAgain(host.guest, { esp });
    const shown = await host.domain.hostIs(['drifted'], ['agent_not_measured', 'command_line_unknown']);
    assert.deepEqual(failing(shown), ['boot-chain', 'command-line', 'runtime']);
    await host.neighbour.isUntouched();
    void again;
  });

  test('drifts when kexec starts another kernel behind its back', async () => {
    await using host = await goodHost(world);
    await host.guest.run('systemctl stop touchmark-agent');
    await host.guest.run(
      'kexec -s -l /boot/vmlinuz.signed --initrd=/boot/initrd.img --append="$(cat /proc/cmdline)"',
    );
    await host.guest.run('(sleep 1; kexec -e) >/dev/null 2>&1 &');
    // The registers go on, and the list of the new kernel does not say from where.
    const shown = await host.domain.hostIs(['drifted'], ['pcr_unexplained', 'nothing_measured']);
    assert.deepEqual(failing(shown), ['boot-chain', 'command-line', 'userspace', 'runtime']);
    await host.neighbour.isUntouched();
  });
});
