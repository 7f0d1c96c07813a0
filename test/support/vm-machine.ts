import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type GuestAnswer, guestLine } from './vm-line.js';
import { appears, connectTo, startProcess, type VmProcess } from './vm-process.js';
import { openQmp, type Qmp } from './vm-qmp.js';

const execute = promisify(execFile);

/** Files from which a machine is put together; none of them is changed. */
export interface MachineParts {
  /** Raw disk images, or qcow2. */
  readonly esp: string;
  readonly root: string;
  /** The firmware's variables: they say whether Secure Boot is on. */
  readonly vars: string;
  /** State directory of a software TPM that is not running. */
  readonly tpm: string;
}

/** A running guest. Its own disks, variables and chip lie in `directory` and are gone with it. */
export interface Machine extends AsyncDisposable {
  readonly directory: string;
  /** Runs a shell command as root; fails only when there is no answer. */
  ask(command: string, ms?: number): Promise<GuestAnswer>;
  /** As `ask`, and fails when the command does; what it said, trimmed. */
  run(command: string, ms?: number): Promise<string>;
  read(path: string): Promise<Uint8Array>;
  write(path: string, content: string | Uint8Array, mode?: string): Promise<void>;
  /** What came over the serial console since power on. */
  console(): Promise<string>;
  /** Shuts it down in good order. What it leaves can be booted again by `bootMachine` while this is not disposed of. */
  powerOff(): Promise<MachineParts>;
  /** Stops it for good and keeps it: from there any number of machines go on, each by itself. */
  snapshot(): Promise<Snapshot>;
}

export interface Snapshot extends AsyncDisposable {
  readonly parts: MachineParts;
  readonly memory: string;
}

/** A clean boot takes about 15 s. */
export async function bootMachine(parts: MachineParts, wait = true): Promise<Machine> {
  const machine = await start(parts);
  if (wait) await usable(machine, () => machine.ask('true', 120_000));
  return machine;
}

/** Goes on from a snapshot: same memory, same disks, same chip, about 1.5 s. */
export async function forkMachine(snapshot: Snapshot): Promise<Machine> {
  const machine = await start(snapshot.parts, `exec:zstd -dcq ${snapshot.memory}`);
  await usable(machine, () => machine.ask(`date -s @${Math.ceil(Date.now() / 1000)}`, 30_000));
  return machine;
}

async function usable(machine: Machine, task: () => Promise<unknown>): Promise<void> {
  try {
    await task();
  } catch (error) {
    const said = await machine.console();
    await machine[Symbol.asyncDispose]();
    throw new Error(`the guest did not come up; its console: ${said.slice(-1500)}`, { cause: error });
  }
}

async function start(parts: MachineParts, incoming?: string): Promise<Machine> {
  const directory = await mkdtemp(join(tmpdir(), 'tm-vm-'));
  const at = (name: string) => join(directory, name);
  const started: VmProcess[] = [];
  const stop = async () => {
    for (const process of started.reverse()) await process.kill();
  };
  try {
    for (const disk of ['esp', 'root', 'vars'] as const) await overlay(parts[disk], at(`${disk}.qcow2`));
    await cp(parts.tpm, at('tpm'), { recursive: true });
    const chip = startProcess('swtpm', [
      ...['socket', '--tpm2', '--tpmstate', `dir=${at('tpm')}`],
      ...['--ctrl', `type=unixio,path=${at('tpm.sock')}`],
    ]);
    started.push(chip);
    await appears(at('tpm.sock'), chip);
    const qemu = startProcess('qemu-system-x86_64', qemuArguments(directory, incoming !== undefined));
    started.push(qemu);
    const qmp = await openQmp(await connectTo(at('qmp.sock'), qemu));
    if (incoming !== undefined) await receive(qmp, incoming);
    const line = guestLine(await connectTo(at('run.sock'), qemu));
    return machineOf(directory, line.ask, qmp, { stop, ended: qemu.ended });
  } catch (error) {
    const complaints = started.map((process) => process.complaint()).join('');
    await stop();
    await rm(directory, { recursive: true, force: true });
    throw new Error(`the machine did not start: ${complaints}`, { cause: error });
  }
}

async function overlay(backing: string, path: string): Promise<void> {
  const format = backing.endsWith('.qcow2') ? 'qcow2' : 'raw';
  await execute('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', backing, '-F', format, path]);
}

/** Waits for memory to arrive, and goes on from there. */
async function receive(qmp: Qmp, uri: string): Promise<void> {
  const over = await migration(qmp, () => qmp.execute('migrate-incoming', { uri }));
  if (over !== 'completed') throw new Error('the memory of the snapshot could not be read');
  await qmp.execute('cont');
}

/** How a migration ended. */
async function migration(qmp: Qmp, begin: () => Promise<unknown>): Promise<unknown> {
  await qmp.execute('migrate-set-capabilities', { capabilities: [{ capability: 'events', state: true }] });
  const over = qmp.event('MIGRATION', ({ status }) => status === 'completed' || status === 'failed');
  await begin();
  return (await over)['status'];
}

function machineOf(
  directory: string,
  askLine: (command: string, ms: number) => Promise<GuestAnswer>,
  qmp: Qmp,
  { stop, ended }: { readonly stop: () => Promise<void>; readonly ended: Promise<void> },
): Machine {
  const at = (name: string) => join(directory, name);
  const parts = { esp: at('esp.qcow2'), root: at('root.qcow2'), vars: at('vars.qcow2'), tpm: at('tpm') };
  const ask: Machine['ask'] = (command, ms = 60_000) => askLine(command, ms);
  const run: Machine['run'] = async (command, ms) => {
    const { code, output } = await ask(command, ms);
    if (code !== 0) throw new Error(`in the guest, ${command.slice(0, 100)} ended with ${code}: ${output}`);
    return output.trim();
  };
  return {
    directory,
    ask,
    run,
    read: async (path) => new Uint8Array(Buffer.from(await run(`base64 -w0 ${path}`), 'base64')),
    async write(path, content, mode = '644') {
      const text = Buffer.from(content).toString('base64');
      await run(
        `echo ${text} | base64 -d > ${path}.new && chmod ${mode} ${path}.new && mv ${path}.new ${path}`,
      );
    },
    console: () => readFile(at('console.log'), 'utf8').catch(() => ''),
    async powerOff() {
      await ask('poweroff').catch(() => {});
      await Promise.race([ended, sleep(30_000, undefined, { ref: false })]);
      await stop();
      return parts;
    },
    async snapshot() {
      const memory = at('memory.zst');
      await qmp.execute('stop');
      await qmp.execute('migrate-set-parameters', { 'max-bandwidth': 10_000_000_000 });
      const status = await migration(qmp, () =>
        qmp.execute('migrate', { uri: `exec:zstd -1 -q -o ${memory}` }),
      );
      await stop();
      if (status !== 'completed') throw new Error('the snapshot failed');
      return { parts, memory, [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }) };
    },
    async [Symbol.asyncDispose]() {
      await stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function qemuArguments(directory: string, incoming: boolean): string[] {
  const at = (name: string) => join(directory, name);
  const drive = (name: string) => `id=${name},if=none,format=qcow2,cache=unsafe,file=${at(`${name}.qcow2`)}`;
  return [
    ...['-nodefaults', '-display', 'none', '-vga', 'none', '-serial', `file:${at('console.log')}`],
    ...[
      '-machine',
      'q35,smm=on',
      '-accel',
      'tcg,thread=multi,tb-size=512',
      '-cpu',
      'max',
      '-smp',
      '2',
      '-m',
      '768',
    ],
    ...['-global', 'driver=cfi.pflash01,property=secure,value=on', '-global', 'ICH9-LPC.disable_s3=1'],
    ...['-drive', 'if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.secboot.fd'],
    ...['-drive', `if=pflash,unit=1,format=qcow2,file=${at('vars.qcow2')}`],
    ...['-drive', drive('esp'), '-device', 'virtio-blk-pci,drive=esp,bootindex=1'],
    ...['-drive', drive('root'), '-device', 'virtio-blk-pci,drive=root'],
    ...['-chardev', `socket,id=tpm,path=${at('tpm.sock')}`, '-tpmdev', 'emulator,id=tpm0,chardev=tpm'],
    ...['-device', 'tpm-crb,tpmdev=tpm0', '-device', 'virtio-serial'],
    ...['-chardev', `socket,id=run,path=${at('run.sock')},server=on,wait=off`],
    ...['-device', 'virtserialport,chardev=run,name=run'],
    ...['-netdev', 'user,id=net', '-device', 'virtio-net-pci,netdev=net,romfile='],
    ...['-object', 'rng-random,id=random,filename=/dev/urandom', '-device', 'virtio-rng-pci,rng=random'],
    ...['-qmp', `unix:${at('qmp.sock')},server=on,wait=off`],
    ...(incoming ? ['-incoming', 'defer'] : []),
  ];
}
