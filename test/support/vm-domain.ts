import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stateName } from '../../src/cli/server/host-view.js';
import { manufactureSwtpm, startSwtpm } from '../../src/host/swtpm.js';
import { unixChannel } from '../../src/rpc/channel.js';
import { createRpcClient } from '../../src/rpc/client.js';
import { Host, type HostRecord } from '../../src/wire/gen/touchmark/host/v1/host_pb.js';
import { binary, execute, type Ran } from './dev.js';
import type { Machine } from './vm-machine.js';

/** A chip with endorsement certificates, before it is built into a machine. */
export interface VmChip {
  readonly state: string;
  /** Its makers, PEM. */
  readonly anchors: string;
  /** Of its RSA key, which names the host. */
  readonly ekHash: string;
}

/** @param directory existing and empty */
export async function makeChip(directory: string): Promise<VmChip> {
  const chip = await manufactureSwtpm({ directory });
  const running = await startSwtpm(chip, directory);
  try {
    const said = await execute(
      [binary('touchmark'), 'inspect', 'tpm', '-tcti', running.tcti, '-output', 'json'],
      process.env,
    );
    const ekHash = /"ekHash": *"([0-9a-f]{64})"/.exec(said.stdout)?.[1];
    if (ekHash === undefined) throw new Error(`inspect tpm shows no EK: ${said.stdout}${said.stderr}`);
    return { state: chip.stateDirectory, anchors: chip.rootPem + chip.issuerPem, ekHash };
  } finally {
    await running.dispose();
  }
}

/** What `host show` says. */
export interface ShownHost {
  readonly state: string;
  readonly reasons: readonly Reason[];
  readonly components: readonly ShownComponent[];
}

export interface ShownComponent {
  readonly component: string;
  readonly result: string;
  readonly reasons: readonly Reason[];
}

export interface Reason {
  readonly code: string;
  readonly message: string;
}

/** A server of its own on this machine, which expects one chip. */
export interface VmDomain extends AsyncDisposable {
  readonly directory: string;
  readonly trustDomain: string;
  readonly agentId: string;
  readonly port: number;
  /** `touchmark-server` with this server's socket; never throws for an exit code. */
  server(...args: string[]): Promise<Ran>;
  /** As `server`, and fails when it does; its standard output. */
  must(...args: string[]): Promise<string>;
  /** Configures and starts the agent of a guest for this server; `more` are lines at the end of agent.toml. */
  enlist(machine: Machine, more?: string): Promise<void>;
  host(): Promise<ShownHost>;
  /** Waits until the host is in one of these states, and all these codes are among the reasons. */
  hostIs(states: readonly string[], codes?: readonly string[], ms?: number): Promise<ShownHost>;
  /** What the server wrote. */
  log(): Promise<string>;
}

const trustDomain = 'vm.test';

/**
 * @param more lines at the end of server.toml
 * @param anchors makers of further chips, PEM
 */
export async function startDomain(chip: VmChip, more = '', anchors = ''): Promise<VmDomain> {
  const directory = await mkdtemp(join(tmpdir(), 'tm-vms-'));
  const at = (name: string) => join(directory, name);
  const port = await freePort();
  await writeFile(at('anchors.pem'), chip.anchors + anchors);
  await writeFile(at('server.toml'), serverToml(directory, port) + more);
  const child = spawn(
    'setpriv',
    [
      ...['--pdeathsig', 'KILL', process.execPath, binary('touchmark-server')],
      ...['run', '-config', at('server.toml')],
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const log = createWriteStream(at('server.log'));
  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  const env = { ...process.env, TOUCHMARK_SERVER_SOCKET: at('server.sock') };
  const server = (...args: string[]) => execute([binary('touchmark-server'), ...args], env);
  const must = async (...args: string[]) => {
    const { code, stdout, stderr } = await server(...args);
    if (code !== 0) throw new Error(`touchmark-server ${args.join(' ')} ended with ${code}: ${stderr}`);
    return stdout;
  };
  // Asked often, so without a program for each time.
  const channel = unixChannel(at('server.sock'));
  const hosts = createRpcClient(Host, channel);
  const host = async () =>
    shown(
      await hosts.getHost({ by: { case: 'ekHash', value: chip.ekHash } }, { deadline: Date.now() + 5_000 }),
    );
  const domain: VmDomain = {
    directory,
    trustDomain,
    port,
    agentId: `spiffe://${trustDomain}/spire/agent/tpm/${chip.ekHash}`,
    server,
    must,
    host,
    enlist: async (machine, more = '') => {
      await machine.write('/etc/touchmark/bootstrap.pem', await must('bundle', 'show'));
      await machine.write('/etc/touchmark/agent.toml', agentToml(port) + more);
      await machine.run('systemctl --no-block restart touchmark-agent');
    },
    hostIs: (states, codes = [], ms = 150_000) => hostIs(host, states, codes, ms),
    log: () => readFile(at('server.log'), 'utf8'),
    async [Symbol.asyncDispose]() {
      channel.close();
      const ended = once(child, 'close');
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL');
        await ended;
      }
      log.end();
      await rm(directory, { recursive: true, force: true });
    },
  };
  await until(
    async () => existsSync(at('server.sock')),
    20_000,
    () => domain.log(),
  );
  await must('host', 'allow', chip.ekHash, '-name', 'guest');
  return domain;
}

async function hostIs(
  host: () => Promise<ShownHost>,
  states: readonly string[],
  codes: readonly string[],
  ms: number,
): Promise<ShownHost> {
  let last: ShownHost | undefined;
  await until(
    async () => {
      last = await host().catch(() => undefined);
      const said = last ? codesOf(last) : [];
      return last !== undefined && states.includes(last.state) && codes.every((code) => said.includes(code));
    },
    ms,
    async () => `the host is ${JSON.stringify(last)}, not ${[...states, ...codes].join(', ')}`,
  );
  if (!last) throw new Error('the host is not known');
  return last;
}

/** Codes of all reasons, of the state and of the components. */
export function codesOf({ reasons, components }: ShownHost): string[] {
  return [...reasons, ...components.flatMap((component) => component.reasons)].map(({ code }) => code);
}

/** Components that are not good, in their order. */
export function failing({ components }: ShownHost): string[] {
  return components.filter(({ result }) => result !== 'pass').map(({ component }) => component);
}

function shown({ state, reasons, appraisal }: HostRecord): ShownHost {
  return { state: stateName(state), reasons, components: appraisal?.components ?? [] };
}

export async function until(
  holds: () => Promise<boolean>,
  ms: number,
  complaint: () => Promise<string>,
): Promise<void> {
  for (const end = Date.now() + ms; !(await holds()); await sleep(300)) {
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${await complaint()}`);
  }
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  return typeof address === 'object' && address ? address.port : 0;
}

function serverToml(directory: string, port: number): string {
  const quoted = JSON.stringify;
  return `trust_domain = "${trustDomain}"
data_dir = ${quoted(join(directory, 'data'))}
socket_path = ${quoted(join(directory, 'server.sock'))}
bind_address = "127.0.0.1"
bind_port = ${port}

[key_manager]
type = "memory"

[attestation.tpm]
enrol = "allow-list"
vendor_anchors = false
anchor_paths = [${quoted(join(directory, 'anchors.pem'))}]
`;
}

/** 10.0.2.2 is how QEMU's user network calls this machine. */
function agentToml(port: number): string {
  return `trust_domain = "${trustDomain}"
server_address = "10.0.2.2"
server_port = ${port}
trust_bundle_file = "/etc/touchmark/bootstrap.pem"

[attestation]
type = "tpm"
`;
}

export async function scratch(): Promise<{ directory: string } & AsyncDisposable> {
  const directory = await mkdtemp(join(tmpdir(), 'tm-vmc-'));
  await mkdir(directory, { recursive: true });
  return { directory, [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }) };
}
