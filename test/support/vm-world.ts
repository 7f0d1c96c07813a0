import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Disposal } from '../../src/disposal.js';
import { binary, execute } from './dev.js';
import { repoRoot } from './root.js';
import { makeChip, startDomain, type VmChip, type VmDomain } from './vm-domain.js';
import { buildImage, goodCommandLine, type VmImage } from './vm-image.js';
import { bootMachine, forkMachine, type Machine, type MachineParts, type Snapshot } from './vm-machine.js';
import { anchorsOfCopies, type Neighbour, startNeighbour } from './vm-neighbour.js';

/** What all scenarios begin with: a good host that has booted, and a policy that was made from it and from what it boots. */
export interface VmWorld {
  readonly image: VmImage;
  readonly chip: VmChip;
  /** The good host, booted, its agent not yet configured. */
  readonly snapshot: Snapshot;
  /** Files for `touchmark-server apply -f`. */
  readonly manifests: readonly string[];
}

const bootLogFile = '/sys/kernel/security/tpm0/binary_bios_measurements';
const imaListFile = '/sys/kernel/security/ima/binary_runtime_measurements';

/** Kept below `.cache/vm` until the image changes: files of tests share one. About 45 s when it is not there. */
export async function vmWorld(): Promise<VmWorld> {
  const image = await buildImage();
  const uki = await image.uki(goodCommandLine);
  const cache = join(repoRoot(), '.cache', 'vm');
  const version = createHash('sha256')
    .update(`${basename(image.root)} ${basename(uki.file)}`)
    .digest('hex');
  const directory = join(cache, `world-${version.slice(0, 16)}`);
  if (!existsSync(directory)) {
    const fresh = `${directory}.new`;
    await rm(fresh, { recursive: true, force: true });
    await make(fresh, image, uki);
    await rename(fresh, directory);
  }
  return opened(directory, image);
}

async function opened(directory: string, image: VmImage): Promise<VmWorld> {
  const at = (name: string) => join(directory, name);
  const chip = JSON.parse(await readFile(at('chip.json'), 'utf8')) as Omit<VmChip, 'state'>;
  const disks = { esp: at('esp.qcow2'), root: at('root.qcow2'), vars: at('vars.qcow2'), tpm: at('tpm') };
  return {
    image,
    chip: { ...chip, state: at('tpm') },
    snapshot: { parts: disks, memory: at('memory.zst'), [Symbol.asyncDispose]: async () => {} },
    manifests: manifestNames.map((name) => at(`${name}.yaml`)),
  };
}

async function make(directory: string, image: VmImage, uki: { file: string; esp: string }): Promise<void> {
  const at = (name: string) => join(directory, name);
  await mkdir(at('chip'), { recursive: true });
  const chip = await makeChip(at('chip'));
  const parts: MachineParts = { esp: uki.esp, root: image.root, vars: image.varsOn, tpm: chip.state };
  const booted = await bootMachine(parts);
  // As a person would install it: up once, and what the firmware remembers is written.
  const snapshot = await booted.snapshot();
  for (const name of ['esp.qcow2', 'root.qcow2', 'vars.qcow2', 'memory.zst', 'tpm']) {
    await cp(join(booted.directory, name), at(name), { recursive: true });
  }
  await snapshot[Symbol.asyncDispose]();
  const { state: _state, ...kept } = chip;
  await writeFile(at('chip.json'), JSON.stringify(kept));
  const { snapshot: own } = await opened(directory, image);
  await lookAtGoodHost(directory, chip, own);
  await makeManifests(directory, image, uki.file);
}

/** The logs of a host whose agent has attested, in a domain without a policy. */
async function lookAtGoodHost(directory: string, chip: VmChip, snapshot: Snapshot): Promise<void> {
  await using domain = await startDomain(chip);
  await using guest = await forkMachine(snapshot);
  await domain.enlist(guest);
  await domain.hostIs(['unmeasured']);
  await writeFile(join(directory, 'boot.log'), await guest.read(bootLogFile));
  await writeFile(join(directory, 'ima.bin'), await guest.read(imaListFile));
}

const manifestNames = ['uki', 'system', 'agent', 'firmware', 'shown', 'policy', 'group'];

async function madeReferences(kind: string, name: string, file: string, ...args: string[]): Promise<void> {
  const command = ['reference', 'create', '-from', kind, '-name', name, '-file', file, ...args];
  const { code, stderr } = await execute([binary('touchmark-server'), ...command], process.env);
  if (code !== 0) throw new Error(`reference create -from ${kind} ended with ${code}: ${stderr}`);
}

async function makeManifests(directory: string, image: VmImage, uki: string): Promise<void> {
  const { tree } = image;
  const at = (name: string) => join(directory, name);
  const made = (kind: string, name: string, source: string, ...more: string[]) =>
    madeReferences(kind, name, at(`${name}.yaml`), ...more, source);
  await made('uki', 'uki', uki);
  await made('dir', 'system', tree, '-root', tree);
  await made('dir', 'agent', join(tree, 'usr/lib/touchmark'), '-all', '-root', tree);
  await made('boot-log', 'firmware', at('boot.log'));
  await made('ima-list', 'shown', at('ima.bin'));
  const rules = sha256(await readFile(join(tree, 'etc/ima/ima-policy')));
  const [kernel = ''] = await readdir(join(tree, 'usr/lib/modules'));
  await writeFile(at('policy.yaml'), policyText(rules, sha256(kernel)));
  await writeFile(at('group.yaml'), groupText);
}

function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

/** Every component is judged, and what fails ends the identities. */
function policyText(rules: string, kernelVersion: string): string {
  return `kind: MeasurementPolicy
name: guests
references: [uki, system, agent, firmware, shown]
firmware: {}
firmwareConfig: {}
secureBoot: {}
bootChain: {}
commandLine: {}
userspace: {}
runtime:
  rules:
    policies: ["sha256:${rules}"]
  accept:
    - { digest: "sha256:${kernelVersion}", path: kernel_version }
`;
}

const groupText = `kind: HostGroup
name: guests
labels: { kind: guest }
policy: guests
`;

/** A good host of a domain of its own, trusted under the policy, with a neighbour for which there is none. */
export interface GoodHost extends AsyncDisposable {
  readonly domain: VmDomain;
  readonly guest: Machine;
  readonly neighbour: Neighbour;
}

export async function goodHost(world: VmWorld): Promise<GoodHost> {
  const parts = new Disposal();
  const { chip, manifests, snapshot } = world;
  const neighbourAnchors = await anchorsOfCopies();
  try {
    const domain = parts.use(await startDomain(chip, ticks, neighbourAnchors));
    await domain.must('host', 'set', chip.ekHash, '-label', 'kind=guest');
    await domain.must('apply', ...manifests.flatMap((file) => ['-f', file]));
    const guest = parts.use(await forkMachine(snapshot));
    await domain.enlist(guest);
    const neighbour = parts.use(await startNeighbour(domain));
    await domain.hostIs(['trusted']).catch((error) => explained(error, guest, domain));
    return { domain, guest, neighbour, [Symbol.asyncDispose]: () => parts[Symbol.asyncDispose]() };
  } catch (error) {
    await parts[Symbol.asyncDispose]();
    throw error;
  }
}

const ticks = '\n[measurement]\ntick_interval = "5s"\n';

async function explained(cause: unknown, guest: Machine, domain: VmDomain): Promise<never> {
  const agent = await guest.ask('journalctl -u touchmark-agent --no-pager | tail -20');
  const server = (await domain.log()).split('\n').filter((line) => !line.includes('event="rpc"'));
  const said = `agent: ${agent.output}; server: ${server.slice(-20).join('\n')}`;
  throw new Error(`the good host is not trusted; ${said}`, { cause });
}

/** Starts a guest again from what is left of it, with other parts where they are given; its agent comes up by itself. */
export async function bootAgain(guest: Machine, others: Partial<MachineParts> = {}): Promise<Machine> {
  return bootMachine({ ...(await guest.powerOff()), ...others });
}

/** The operator accepts a file of the guest, wherever else it may lie: manifests for `apply`. */
export async function acceptedToo(world: VmWorld, guest: Machine, path: string): Promise<string[]> {
  const directory = join(guest.directory, 'accepted');
  const at = (name: string) => join(directory, name);
  await mkdir(dirname(at(path)), { recursive: true });
  await writeFile(at(path), await guest.read(path));
  await madeReferences('dir', 'accepted', at('accepted.yaml'), '-all', '-root', directory, dirname(at(path)));
  const policy = await readFile(world.manifests.find((file) => file.endsWith('policy.yaml')) ?? '', 'utf8');
  await writeFile(at('policy.yaml'), policy.replace('references: [', 'references: [accepted, '));
  return [at('accepted.yaml'), at('policy.yaml')];
}

const watchLog = '/run/watch.log';
const workloadSocket = '/run/touchmark/agent/public/api.sock';

/** A workload of the guest: user 33. */
export async function registerWorkload(
  { must, trustDomain, agentId }: VmDomain,
  name: string,
): Promise<void> {
  const id = `spiffe://${trustDomain}/${name}`;
  await must('entry', 'create', '-parentID', agentId, '-spiffeID', id, '-selector', 'unix:uid:33');
}

const asWorkload = 'setpriv --reuid 33 --regid 33 --clear-groups touchmark-agent api';

/** Waits until that workload gets its identity. */
export async function getsIdentity(guest: Machine, name: string): Promise<void> {
  const fetch = `${asWorkload} fetch x509 -socketPath ${workloadSocket}`;
  await guest.run(`until ${fetch} 2>&1 | grep -q 'spiffe://.*/${name}$'; do sleep 0.5; done`);
}

/** Lets that workload hold its stream of identities open. */
export async function startsWatching(guest: Machine, name: string): Promise<void> {
  await getsIdentity(guest, name);
  const watch = `${asWorkload} watch -socketPath ${workloadSocket}`;
  await guest.run(`(${watch} >${watchLog} 2>&1; date +%s.%N >>${watchLog}) >/dev/null 2>&1 &`);
  await guest.run(`until grep -q 'spiffe://.*/${name}$' ${watchLog}; do sleep 0.2; done`);
}

/** Waits for the end of that stream: how many seconds after the time in /tmp/ran it came. */
export async function watchEnded(guest: Machine): Promise<number> {
  await guest.run(`until tail -1 ${watchLog} | grep -qE '^[0-9.]+$'; do sleep 0.1; done`);
  const [ran = 0, ended = 0] = (await guest.run(`cat /tmp/ran; tail -1 ${watchLog}`)).split('\n').map(Number);
  return ended - ran;
}
