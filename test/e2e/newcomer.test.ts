import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { binary, type DevDomain, isRunning, startDev } from '../support/dev.js';

const uid = String(process.getuid?.() ?? 0);

/** For one domain that several tests share: the context that a test would have. */
function shared() {
  const cleanups: (() => unknown)[] = [];
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });
  return { after: (cleanup: () => unknown) => cleanups.push(cleanup) } as unknown as Parameters<
    typeof startDev
  >[0];
}

describe('a newcomer with touchmark dev --no-tpm', () => {
  let dev: DevDomain;
  const context = shared();
  before(async () => {
    dev = await startDev(context, '--no-tpm', '--trust-domain', 'example.org');
  });

  test('is told where everything is', () => {
    assert.equal(dev.trustDomain, 'example.org');
    assert.match(dev.agentId, /^spiffe:\/\/example\.org\/spire\/agent\/join_token\/./);
    for (const socket of [dev.serverSocket, dev.workloadSocket, dev.adminSocket])
      assert.ok(statSync(socket).isSocket());
    for (const pid of [dev.serverPid, dev.agentPid]) assert.ok(isRunning(pid));
    assert.equal(statSync(dev.workloadSocket).mode & 0o777, 0o777);
    assert.equal(statSync(dev.adminSocket).mode & 0o777, 0o600);
  });

  test('has no identity, and is told which entry came near', async () => {
    const fetched = await dev.run('touchmark-agent', ['api', 'fetch']);
    assert.equal(fetched.code, 1);
    assert.match(fetched.stderr, /no identity issued/);
    const id = await dev.register('/near', `unix:uid:${uid}`, ['-selector', 'unix:user:nobody-by-that-name']);
    const explained = await dev.run('touchmark-agent', ['explain', '-output', 'json']);
    assert.equal(explained.code, 1);
    const answer = explained.json<{ cause: string; near: { missing: { value: string }[] }[] }>();
    assert.equal(answer.cause, 'entry');
    assert.deepEqual(
      answer.near[0]?.missing.map(({ value }) => value),
      ['user:nobody-by-that-name'],
    );
    assert.equal((await dev.run('touchmark-server', ['entry', 'delete', '-entryID', id])).code, 0);
  });

  test('registers a workload and gets its X.509-SVID, as text, JSON and files', async (t) => {
    const id = await dev.register('/web', `unix:uid:${uid}`);
    const fetched = await dev.run('touchmark-agent', ['api', 'fetch', 'x509', '-output', 'json']);
    assert.equal(fetched.code, 0, fetched.stderr);
    const { svids } = fetched.json<{ svids: { spiffeId: string }[] }>();
    assert.deepEqual(
      svids.map(({ spiffeId }) => spiffeId),
      ['spiffe://example.org/web'],
    );
    const directory = mkdtempSync(join(tmpdir(), 'tm-svid-'));
    t.after(() => rmSync(directory, { recursive: true, force: true }));
    const written = await dev.run('touchmark-agent', ['api', 'fetch', '-write', directory]);
    assert.equal(written.code, 0, written.stderr);
    assert.match(written.stdout, /Received 1 svid after \d+ms[\s\S]*spiffe:\/\/example\.org\/web/);
    assert.deepEqual(readdirSync(directory).sort(), ['bundle.0.pem', 'svid.0.key', 'svid.0.pem']);
    assert.equal(statSync(join(directory, 'svid.0.key')).mode & 0o777, 0o600);
    const inspected = await dev.run('touchmark', ['inspect', 'svid', join(directory, 'svid.0.pem')]);
    assert.match(inspected.stdout, /spiffe:\/\/example\.org\/web/);
    const explained = await dev.run('touchmark-agent', ['explain']);
    assert.equal(explained.code, 0);
    assert.match(explained.stdout, /an identity is issued[\s\S]*identity spiffe:\/\/example\.org\/web/);
    await dev.run('touchmark-server', ['entry', 'delete', '-entryID', id]);
  });

  test('gets a JWT-SVID and has it checked', async () => {
    const id = await dev.register('/api', `unix:uid:${uid}`);
    const fetched = await dev.run('touchmark-agent', [
      'api',
      'fetch',
      'jwt',
      '-audience',
      'vault',
      '-output',
      'json',
    ]);
    assert.equal(fetched.code, 0, fetched.stderr);
    const token = fetched.json<{ svids: { svid: string }[] }>().svids[0]?.svid ?? '';
    const good = await dev.run(
      'touchmark-agent',
      ['api', 'validate', 'jwt', '-audience', 'vault', '-svid', '-'],
      token,
    );
    assert.equal(good.code, 0, good.stderr);
    assert.match(good.stdout, /SVID is valid[\s\S]*spiffe:\/\/example\.org\/api/);
    const bad = await dev.run('touchmark-agent', [
      'api',
      'validate',
      'jwt',
      '-audience',
      'other',
      '-svid',
      token,
    ]);
    assert.equal(bad.code, 1);
    assert.match(bad.stderr, /aud/);
    await dev.run('touchmark-server', ['entry', 'delete', '-entryID', id]);
  });

  test('applies a manifest twice, which changes nothing the second time', async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'tm-manifest-'));
    t.after(() => rmSync(directory, { recursive: true, force: true }));
    const file = join(directory, 'entries.yaml');
    writeFileSync(
      file,
      `- kind: Entry\n  spiffeId: spiffe://example.org/applied\n  parentId: ${dev.agentId}\n  selectors: ["unix:uid:${uid}"]\n`,
    );
    const applied = await dev.run('touchmark-server', ['apply', '-f', file]);
    assert.equal(applied.code, 0, applied.stderr);
    assert.equal((await dev.run('touchmark-server', ['apply', '-f', file])).code, 0);
    const fetched = await dev.run('touchmark-agent', ['api', 'fetch']);
    assert.match(fetched.stdout, /Received 1 svid[\s\S]*spiffe:\/\/example\.org\/applied/);
    const listed = await dev.run('touchmark-server', [
      'entry',
      'show',
      '-spiffeID',
      'spiffe://example.org/applied',
      '-output',
      'json',
    ]);
    const entryId = /"id": *"([^"]+)"/.exec(listed.stdout)?.[1] ?? '';
    assert.equal((await dev.run('touchmark-server', ['entry', 'delete', '-entryID', entryId])).code, 0);
    const gone = await dev.run('touchmark-agent', ['api', 'fetch']);
    assert.equal(gone.code, 1);
    assert.match(gone.stderr, /no identity issued/);
  });

  test('watches: a new entry shows at once, and the stream ends when the last is deleted', async (t) => {
    const first = await dev.register('/one', `unix:uid:${uid}`);
    const watch = spawn(process.execPath, [binary('touchmark-agent'), 'api', 'watch', '-output', 'json'], {
      env: { ...process.env, SPIFFE_ENDPOINT_SOCKET: `unix://${dev.workloadSocket}` },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    t.after(() => watch.kill());
    let said = '';
    watch.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    const count = () => said.split('"svids"').length - 1;
    await until(() => count() === 1);
    const started = performance.now();
    const second = await dev.register('/two', `unix:uid:${uid}`);
    await until(() => count() === 2);
    assert.ok(performance.now() - started < 3_000);
    assert.match(said, /example\.org\/two/);
    await dev.run('touchmark-server', ['entry', 'delete', '-entryID', second]);
    await until(() => count() === 3);
    const ended = once(watch, 'exit');
    await dev.run('touchmark-server', ['entry', 'delete', '-entryID', first]);
    assert.deepEqual((await ended)[0], 1);
  });

  test('lists and shows its host', async () => {
    const listed = await dev.run('touchmark-server', ['agent', 'list']);
    assert.equal(listed.code, 0, listed.stderr);
    assert.match(listed.stdout, new RegExp(dev.agentId));
    const healthy = await dev.run('touchmark-agent', ['healthcheck']);
    assert.deepEqual([healthy.code, healthy.stdout.trim()], [0, 'Agent is healthy.']);
  });

  test('a wrong socket and a wrong flag are one sentence each, with exit codes 1 and 2', async () => {
    const nobody = await dev.run('touchmark-agent', ['api', 'fetch', '-socketPath', '/nowhere/api.sock']);
    assert.equal(nobody.code, 1);
    assert.match(nobody.stderr, /cannot reach an agent at \/nowhere\/api\.sock/);
    assert.equal((await dev.run('touchmark-agent', ['api', 'fetch', '-nonsense'])).code, 2);
  });
});

describe('touchmark dev --no-tpm', () => {
  test('leaves no process and no file behind, with a client connected', async (t) => {
    const dev = await startDev(t, '--no-tpm');
    await dev.register('/web', `unix:uid:${uid}`);
    const watch = spawn(process.execPath, [binary('touchmark-agent'), 'api', 'watch'], {
      env: { ...process.env, SPIFFE_ENDPOINT_SOCKET: `unix://${dev.workloadSocket}` },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    t.after(() => watch.kill());
    await once(createInterface({ input: watch.stdout }), 'line');
    const started = performance.now();
    assert.equal(await dev.stop(), 0);
    assert.ok(performance.now() - started < 10_000, 'stopping takes too long');
    assert.ok(!existsSync(dev.dir));
    for (const pid of [dev.pid, dev.serverPid, dev.agentPid])
      assert.ok(!isRunning(pid), `process ${pid} is still there`);
  });

  test('takes a directory and leaves one that was there', async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'tm-dir-'));
    t.after(() => rmSync(directory, { recursive: true, force: true }));
    const dev = await startDev(t, '--no-tpm', '--dir', directory);
    assert.equal(dev.dir, directory);
    assert.equal(await dev.stop(), 0);
    assert.ok(existsSync(join(directory, 'agent.log')));
    assert.match(readFileSync(join(directory, 'agent.log'), 'utf8'), /Workload API is open/);
  });

  test('ends with the reason when one of its daemons ends', async (t) => {
    const dev = await startDev(t, '--no-tpm');
    process.kill(dev.agentPid, 'SIGKILL');
    await until(() => !isRunning(dev.pid), 15_000);
    assert.ok(!isRunning(dev.serverPid));
    assert.ok(!existsSync(dev.dir));
  });
});

describe('an agent whose server comes and goes', () => {
  test('goes on serving while the server is away, and catches up when it is back', async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'tm-restart-'));
    t.after(() => rmSync(directory, { recursive: true, force: true }));
    const dev = await startDev(t, '--no-tpm', '--dir', directory);
    await dev.register('/web', `unix:uid:${uid}`);
    assert.equal((await dev.run('touchmark-agent', ['api', 'fetch'])).code, 0);
    // Stopped, as by a network that swallows everything: `touchmark dev` takes the end of a daemon for its own.
    process.kill(dev.serverPid, 'SIGSTOP');
    try {
      const fetched = await dev.run('touchmark-agent', ['api', 'fetch']);
      assert.equal(fetched.code, 0, fetched.stderr);
    } finally {
      process.kill(dev.serverPid, 'SIGCONT');
    }
    await dev.register('/late', `unix:uid:${uid}`);
    await untilAsync(async () =>
      /svids? after[\s\S]*\/late/.test((await dev.run('touchmark-agent', ['api', 'fetch'])).stdout),
    );
  });
});

describe('touchmark dev with a software TPM', () => {
  test('proves the chip and serves workloads', async (t) => {
    if (!hasSwtpm()) {
      if (process.env['CI'] === 'true') assert.fail('swtpm is not installed');
      t.skip('swtpm is not installed');
      return;
    }
    const dev = await startDev(t);
    assert.match(dev.agentId, /^spiffe:\/\/dev\.test\/spire\/agent\/tpm\/[0-9a-f]{64}$/);
    await dev.register('/web', `unix:uid:${uid}`);
    const fetched = await dev.run('touchmark-agent', ['api', 'fetch']);
    assert.match(fetched.stdout, /spiffe:\/\/dev\.test\/web/);
    const hosts = await dev.run('touchmark-server', ['host', 'list']);
    assert.equal(hosts.code, 0, hosts.stderr);
    assert.match(hosts.stdout, /[0-9a-f]{12}/);
    const shown = await dev.run('touchmark-server', ['host', 'show', dev.agentId.split('/').at(-1) ?? '']);
    assert.equal(shown.code, 0, shown.stderr);
    assert.match(shown.stdout, /EK|ek/);
    assert.equal(await dev.stop(), 0);
    assert.ok(!existsSync(dev.dir));
  });
});

function hasSwtpm(): boolean {
  return (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(join(folder, 'swtpm')));
}

async function until(holds: () => boolean, ms = 10_000): Promise<void> {
  await untilAsync(async () => holds(), ms);
}

async function untilAsync(holds: () => Promise<boolean>, ms = 20_000): Promise<void> {
  for (const end = Date.now() + ms; Date.now() < end; ) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  assert.fail('it did not come about in time');
}
