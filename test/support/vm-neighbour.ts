import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Disposal } from '../../src/disposal.js';
import { binary, execute } from './dev.js';
import { startCopy } from './swtpm.js';
import { until, type VmDomain } from './vm-domain.js';
import { startProcess } from './vm-process.js';

/** Another host of the same domain, on this machine and with a chip of its own, for which there is no policy. */
export interface Neighbour extends AsyncDisposable {
  /** Fails unless a workload of this host still gets an identity that was registered just now. */
  isUntouched(): Promise<void>;
}

export async function startNeighbour(domain: VmDomain): Promise<Neighbour> {
  const parts = new Disposal();
  try {
    return await started(domain, parts);
  } catch (error) {
    await parts[Symbol.asyncDispose]();
    throw error;
  }
}

async function started(domain: VmDomain, parts: Disposal): Promise<Neighbour> {
  const chip = parts.use(await startCopy());
  const at = (name: string) => join(chip.directory, name);
  const inspected = await execute(
    [binary('touchmark'), 'inspect', 'tpm', '-tcti', chip.tcti, '-output', 'json'],
    process.env,
  );
  const ekHash = /"ekHash": *"([0-9a-f]{64})"/.exec(inspected.stdout)?.[1] ?? '';
  await domain.must('host', 'allow', ekHash, '-name', 'neighbour');
  await writeFile(at('bootstrap.pem'), await domain.must('bundle', 'show'));
  await writeFile(at('agent.toml'), agentToml(domain, chip.directory, chip.tcti));
  const agent = startProcess(process.execPath, [
    binary('touchmark-agent'),
    'run',
    '-config',
    at('agent.toml'),
  ]);
  parts.defer(() => agent.kill());
  const env = { ...process.env, SPIFFE_ENDPOINT_SOCKET: `unix://${at('api.sock')}` };
  const connected = async () => agent.complaint().includes('connected to the server');
  await until(connected, 30_000, async () => `the neighbour is not up: ${agent.complaint()}`);
  let count = 0;
  return {
    async isUntouched() {
      const id = `spiffe://${domain.trustDomain}/neighbour/${++count}`;
      const parent = `spiffe://${domain.trustDomain}/spire/agent/tpm/${ekHash}`;
      const selector = `unix:uid:${process.getuid?.() ?? 0}`;
      await domain.must('entry', 'create', '-parentID', parent, '-spiffeID', id, '-selector', selector);
      let said = '';
      const fetch = [binary('touchmark-agent'), 'api', 'fetch', 'x509'];
      await until(
        async () => {
          said = (await execute(fetch, env)).stdout;
          return said.includes(id);
        },
        10_000,
        async () => `the neighbour has no identity ${id}: ${said}`,
      );
      assert.match(said, /Received \d+ svids?/);
    },
    [Symbol.asyncDispose]: () => parts[Symbol.asyncDispose](),
  };
}

function agentToml(domain: VmDomain, directory: string, tcti: string): string {
  const at = (name: string) => JSON.stringify(join(directory, name));
  return `trust_domain = "${domain.trustDomain}"
data_dir = ${at('agent')}
server_address = "127.0.0.1"
server_port = ${domain.port}
socket_path = ${at('api.sock')}
admin_socket_path = ${at('admin.sock')}
trust_bundle_file = ${at('bootstrap.pem')}

[attestation]
type = "tpm"
tcti = ${JSON.stringify(tcti)}
`;
}

/** Makers of the neighbour's chip, PEM. */
export async function anchorsOfCopies(): Promise<string> {
  await using chip = await startCopy();
  return chip.rootPem + chip.issuerPem;
}
