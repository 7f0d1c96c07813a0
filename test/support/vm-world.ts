import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { binary, execute } from './dev.js';
import { repoRoot } from './root.js';
import { makeChip, startDomain, type VmChip, type VmDomain } from './vm-domain.js';
import { buildImage, goodCommandLine, type VmImage } from './vm-image.js';
import { bootMachine, forkMachine, type Machine, type MachineParts, type Snapshot } from './vm-machine.js';

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

async function makeManifests(directory: string, image: VmImage, uki: string): Promise<void> {
  const { tree } = image;
  const at = (name: string) => join(directory, name);
  const made = async (kind: string, name: string, source: string, ...more: string[]) => {
    const args = ['reference', 'create', '-from', kind, '-name', name, '-file', at(`${name}.yaml`)];
    const { code, stderr } = await execute(
      [binary('touchmark-server'), ...args, ...more, source],
      process.env,
    );
    if (code !== 0) throw new Error(`reference create -from ${kind} ended with ${code}: ${stderr}`);
  };
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

/** A good host of a domain of its own, trusted under the policy. */
export interface GoodHost extends AsyncDisposable {
  readonly domain: VmDomain;
  readonly guest: Machine;
}

export async function goodHost(world: VmWorld): Promise<GoodHost> {
  const domain = await domainWithPolicy(world);
  let guest: Machine | undefined;
  const dispose = async () => {
    await guest?.[Symbol.asyncDispose]();
    await domain[Symbol.asyncDispose]();
  };
  try {
    guest = await forkMachine(world.snapshot);
    await domain.enlist(guest);
    await domain.hostIs(['trusted']);
    return { domain, guest, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    const said = await guest
      ?.ask('journalctl -u touchmark-agent --no-pager | tail -20')
      .catch(() => undefined);
    const log = (await domain.log()).slice(-3000);
    await dispose();
    throw new Error(`the good host is not trusted; agent: ${said?.output}; server: ${log}`, { cause: error });
  }
}

export async function domainWithPolicy({ chip, manifests }: VmWorld): Promise<VmDomain> {
  const domain = await startDomain(chip, '\n[measurement]\ntick_interval = "5s"\n');
  await domain.must('host', 'set', chip.ekHash, '-label', 'kind=guest');
  for (const file of manifests) await domain.must('apply', '-f', file);
  return domain;
}
