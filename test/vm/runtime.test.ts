import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { codesOf, failing } from '../support/vm-domain.js';
import { noGuestsHere } from '../support/vm-image.js';
import { forkMachine, type Machine } from '../support/vm-machine.js';
import {
  acceptedToo,
  getsIdentity,
  goodHost,
  registerWorkload,
  startsWatching,
  type VmWorld,
  vmWorld,
  watchEnded,
} from '../support/vm-world.js';

const imaList = '/sys/kernel/security/ima/binary_runtime_measurements';
const bootLog = '/sys/kernel/security/tpm0/binary_bios_measurements';
const program = '/usr/bin/wc';

describe('a trusted host on which something happens', { skip: noGuestsHere() }, () => {
  let world: VmWorld;
  before(async () => {
    world = await vmWorld();
  });

  test('is trusted by every component before, and stays so while nothing happens', async () => {
    await using host = await goodHost(world);
    const { components } = await host.domain.host();
    assert.deepEqual(
      components.map(({ component, result }) => [component, result]),
      [
        ...[
          'firmware',
          'firmware-config',
          'secure-boot',
          'boot-chain',
          'command-line',
          'userspace',
          'runtime',
        ],
      ].map((component) => [component, 'pass']),
    );
    await host.guest.run(`sleep 7; ${program} -l /etc/passwd`);
    assert.equal((await host.domain.host()).state, 'trusted');
  });

  test('loses its identities when it runs an unknown executable, and has them back when that is accepted', async (t) => {
    await using host = await goodHost(world);
    const { domain, guest, neighbour } = host;
    await registerWorkload(domain, 'web');
    await startsWatching(guest, 'web');
    await guest.run(
      `cp ${program} /tmp/unknown && echo >> /tmp/unknown && date +%s.%N > /tmp/ran && /tmp/unknown -l /etc/passwd`,
    );
    const found = await domain.hostIs(['drifted'], ['file_unknown']);
    assert.match(JSON.stringify(found.reasons), /tmp\/unknown/);
    const seconds = await watchEnded(guest);
    t.diagnostic(`the stream of the workload ended ${seconds.toFixed(2)} s after the executable ran`);
    assert.ok(seconds < 5, `the stream of the workload ended after ${seconds} s`);
    await neighbour.isUntouched();
    const manifests = await acceptedToo(world, guest, '/tmp/unknown');
    await domain.must('apply', ...manifests.flatMap((file) => ['-f', file]));
    await domain.hostIs(['trusted']);
    await getsIdentity(guest, 'web');
  });

  test('drifts when a known executable is changed and run', async () => {
    await using host = await goodHost(world);
    await host.guest.run(
      `cp ${program} /tmp/x && echo >> /tmp/x && mv /tmp/x ${program} && ${program} -l /etc/passwd`,
    );
    const { reasons } = await host.domain.hostIs(['drifted'], ['file_modified']);
    assert.match(JSON.stringify(reasons), /usr\/bin\/wc/);
    await host.neighbour.isUntouched();
  });

  test('drifts when a file of the agent itself is changed, though nothing of it is executed', async () => {
    await using host = await goodHost(world);
    await host.guest.run('echo "// harmless" >> /usr/lib/touchmark/dist/src/cli/main.js');
    assert.equal((await host.domain.host()).state, 'trusted');
    await host.guest.run('systemctl --no-block restart touchmark-agent');
    const { reasons } = await host.domain.hostIs(['drifted'], ['file_modified']);
    assert.match(JSON.stringify(reasons), /dist\/src\/cli\/main\.js/);
    await host.neighbour.isUntouched();
  });

  test('drifts when its IMA list is shortened', async () => {
    await using host = await goodHost(world);
    const list = await host.guest.read(imaList);
    await replaceLog(host.guest, imaList, list.subarray(0, endOfRecord(list, 100)));
    const codes = ['pcr_unexplained', 'nothing_measured', 'kexec_uncertain'];
    const shown = await host.domain.hostIs(['drifted'], codes);
    assert.deepEqual(failing(shown), ['boot-chain', 'runtime']);
    assert.ok(!codesOf(shown).includes('ima_list_unreadable'));
    await host.neighbour.isUntouched();
  });

  test('drifts when its boot log is shortened', async () => {
    await using host = await goodHost(world);
    await replaceLog(host.guest, bootLog, (await host.guest.read(bootLog)).subarray(0, 3000));
    const shown = await host.domain.hostIs(['drifted'], ['pcr_unexplained', 'boot_log_unreadable']);
    assert.deepEqual(failing(shown).slice(0, 4), [
      'firmware',
      'firmware-config',
      'secure-boot',
      'boot-chain',
    ]);
    await host.neighbour.isUntouched();
  });

  test('is suspect when its chip is cleared', async () => {
    await using host = await goodHost(world);
    await host.guest.run('tpm2_clear -c l');
    const shown = await host.domain.hostIs(['suspect', 'drifted']);
    assert.deepEqual(codesOf(shown), ['cloned-or-cleared']);
    await host.neighbour.isUntouched();
  });

  test('is suspect when a copy of its chip speaks from another machine', async () => {
    await using host = await goodHost(world);
    await using copy = await forkMachine(world.snapshot);
    await host.domain.enlist(copy);
    const shown = await host.domain.hostIs(['suspect', 'drifted']);
    assert.deepEqual(codesOf(shown), ['cloned-or-cleared']);
    await host.neighbour.isUntouched();
  });

  test('drifts when another kernel is loaded for kexec', async () => {
    await using host = await goodHost(world);
    await host.guest.run(
      'kexec -s -l /boot/vmlinuz.signed --initrd=/boot/initrd.img --append="$(cat /proc/cmdline) other"',
    );
    const shown = await host.domain.hostIs(['drifted'], ['kexec']);
    assert.match(JSON.stringify(shown.components), /other/);
    await host.neighbour.isUntouched();
  });
});

/** Puts a file in the place of a log, for every process that looks from now on. */
async function replaceLog(guest: Machine, log: string, content: Uint8Array): Promise<void> {
  await guest.write('/run/forged', content);
  await guest.run(`mount --bind /run/forged ${log} && systemctl --no-block restart touchmark-agent`);
}

/** Where so many records of a binary IMA list end: PCR, SHA-1, length and name, length and data. */
function endOfRecord(list: Uint8Array, count: number): number {
  const bytes = Buffer.from(list);
  let at = 0;
  for (let index = 0; index < count; index++) {
    at += 24;
    at += 4 + bytes.readUInt32LE(at);
    at += 4 + bytes.readUInt32LE(at);
  }
  return at;
}
