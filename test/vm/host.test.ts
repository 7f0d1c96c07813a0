import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Disposal } from '../../src/disposal.js';
import { extend } from '../../src/measure/banks.js';
import { parseBootLog } from '../../src/measure/boot/boot-log.js';
import { replayBootLog } from '../../src/measure/boot/boot-replay.js';
import { matchBootAggregate } from '../../src/measure/ima/boot-aggregate.js';
import { parseImaBinary } from '../../src/measure/ima/ima-binary.js';
import { readImaEntry } from '../../src/measure/ima/ima-entry.js';
import { firstMatchingPrefix } from '../../src/measure/ima/ima-replay.js';
import { digest } from '../../src/tpm/algorithms.js';
import { makeChip, scratch, startDomain, type VmChip } from '../support/vm-domain.js';
import { buildImage, goodCommandLine, noGuestsHere, type VmImage } from '../support/vm-image.js';
import { bootMachine, forkMachine, type Machine, type Snapshot } from '../support/vm-machine.js';

const bootLogFile = '/sys/kernel/security/tpm0/binary_bios_measurements';
const imaListFile = '/sys/kernel/security/ima/binary_runtime_measurements';

const node = '/usr/lib/touchmark/bin/node';
const fetch = 'touchmark-agent api fetch x509 -socketPath /run/touchmark/agent/public/api.sock';

describe('a host that boots with Secure Boot, a chip and IMA', { skip: noGuestsHere() }, () => {
  const cleanups = new Disposal();
  let image: VmImage;
  let chip: VmChip;
  let snapshot: Snapshot;
  let machine: Machine;
  before(async () => {
    image = await buildImage();
    const { esp } = await image.uki(goodCommandLine);
    chip = await makeChip(cleanups.use(await scratch()).directory);
    machine = await bootMachine({ esp, root: image.root, vars: image.varsOn, tpm: chip.state });
  });
  after(() => cleanups[Symbol.asyncDispose]());

  test('is up and locked down', async () => {
    assert.equal(await machine.run('systemctl is-system-running --wait'), 'running');
    assert.equal(await machine.run('cat /proc/cmdline'), goodCommandLine);
    assert.match(await machine.run('dmesg'), /Secure boot enabled/);
    assert.match(await machine.run('cat /sys/kernel/security/lockdown'), /\[integrity\]/);
  });

  test('has a boot log that gives exactly the registers of its chip', async () => {
    const log = parseBootLog(await machine.read(bootLogFile));
    const { pcrs, findings } = replayBootLog(log);
    assert.deepEqual(findings, []);
    const values = await pcrsOf(machine);
    for (const pcr of [0, 1, 2, 3, 4, 5, 6, 7, 9])
      assert.equal(hex(pcrs.get('sha256')?.get(pcr)), values[pcr], `PCR ${pcr}`);
    // systemd 252 measures its phases without a log of its own.
    const phases = ['sysinit', 'ready'].map((phase) => digest('sha256', Buffer.from(phase)));
    const fromStub = pcrs.get('sha256')?.get(11) ?? new Uint8Array(32);
    assert.equal(hex(phases.reduce((value, phase) => extend('sha256', value, phase), fromStub)), values[11]);
    for (const pcr of [8, 12, 13, 14, 15]) assert.equal(values[pcr], '0'.repeat(64), `PCR ${pcr}`);
  });

  test('has an IMA list that gives exactly PCR 10, and begins with the registers of the boot', async () => {
    const pcr10 = (await pcrsOf(machine))[10];
    const records = [...parseImaBinary(await machine.read(imaListFile))];
    const length = firstMatchingPrefix(records, (value) => hex(value) === pcr10);
    assert.ok(length !== undefined && length > 80, `${length} of ${records.length} records`);
    const entries = records.map(readImaEntry);
    const { pcrs } = replayBootLog(parseBootLog(await machine.read(bootLogFile)));
    const boot = new Map([[8, new Uint8Array(32)], ...(pcrs.get('sha256') ?? [])]);
    const aggregate = entries[0];
    assert.equal(aggregate?.path?.text, 'boot_aggregate');
    assert.ok(aggregate.fileDigest);
    assert.equal(matchBootAggregate(aggregate.fileDigest, 'sha256', boot), '0-9');
  });

  test('measures the rules by which it measures', async () => {
    const listed = await machine.run('cat /sys/kernel/security/ima/ascii_runtime_measurements');
    const said = await machine.run('sha256sum /etc/ima/ima-policy');
    const policy = said.slice(0, 64);
    assert.match(listed, new RegExp(`sha256:${policy} /etc/ima/ima-policy`));
    assert.match(listed, /ima-buf sha256:[0-9a-f]{64} kernel_version /);
  });

  test('goes on from where it was stopped, as often as wanted', async () => {
    const before = await pcrsOf(machine);
    snapshot = cleanups.use(await machine.snapshot());
    for (let times = 0; times < 2; times++) {
      await using fork = await forkMachine(snapshot);
      const now = await pcrsOf(fork);
      assert.deepEqual(now.with(10, ''), before.with(10, ''));
    }
  });

  test('proves its chip, and its workloads get identities', async () => {
    await using domain = await startDomain(chip);
    await using guest = await forkMachine(snapshot);
    await domain.enlist(guest);
    const { state } = await domain.hostIs(['unmeasured']);
    assert.equal(state, 'unmeasured');
    const id = `spiffe://${domain.trustDomain}/web`;
    const entry = ['-parentID', domain.agentId, '-spiffeID', id, '-selector', 'unix:uid:33'];
    await domain.must('entry', 'create', ...entry);
    assert.match(await guest.run(`setpriv --reuid 33 --regid 33 --clear-groups ${fetch}`), idLine(id));
    const refused = await guest.ask(fetch);
    assert.equal(refused.code, 1);
    assert.match(refused.output, /no identity issued/);
    const listed = await guest.run('cat /sys/kernel/security/ima/ascii_runtime_measurements');
    for (const file of ['bin/node', 'dist/src/cli/main.js', 'bin/touchmark-agent'])
      assert.match(listed, new RegExp(` /usr/lib/touchmark/${file}`));
  });

  test('gives a program its identity by its fs-verity digest', async () => {
    await using domain = await startDomain(chip);
    await using guest = await forkMachine(snapshot);
    await domain.enlist(guest, '[workload_attestors.binary]\nenabled = true\nverity = true\n');
    await domain.hostIs(['unmeasured']);
    await guest.run(`fsverity enable ${node}`);
    const [tree = ''] = (await guest.run(`fsverity measure ${node}`)).split(' ');
    assert.match(tree, /^sha256:[0-9a-f]{64}$/);
    const id = `spiffe://${domain.trustDomain}/sealed`;
    const [content = ''] = (await guest.run(`sha256sum ${node}`)).split(' ');
    const wanted = [`binary:verity:${tree}`, `binary:sha256:${content}`, 'binary:measured:true'];
    const selectors = wanted.flatMap((selector) => ['-selector', selector]);
    await domain.must('entry', 'create', '-parentID', domain.agentId, '-spiffeID', id, ...selectors);
    // Emulated, hashing a program of 100 MB takes longer than a caller usually waits.
    assert.match(await guest.run(`${fetch} -timeout 60s`), idLine(id));
  });
});

function idLine(id: string): RegExp {
  return new RegExp(`SPIFFE ID\\s*: ${id}`);
}

/** Values of the SHA-256 bank, hex, as the chip itself says. */
async function pcrsOf(machine: Machine): Promise<string[]> {
  const said = await machine.run('tpm2_pcrread sha256');
  return [...said.matchAll(/0x([0-9A-F]{64})/g)].map(([, value = '']) => value.toLowerCase());
}

function hex(bytes: Uint8Array | undefined): string {
  return bytes ? Buffer.from(bytes).toString('hex') : '';
}
