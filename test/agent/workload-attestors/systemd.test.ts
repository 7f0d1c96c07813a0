import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Workload } from '../../../src/agent/workload-attestors/contract.js';
import { outermostUnit, systemdAttestor } from '../../../src/agent/workload-attestors/systemd.js';
import type { NameService } from '../../../src/host/names.js';
import { openProcess } from '../../../src/host/process-handle.js';
import { createSystemdUnits, type SystemdUnits } from '../../../src/host/systemd-units.js';
import { formatSelector } from '../../../src/spiffe/selector.js';
import { until } from '../../fakes/manual-clock.js';
import { rejectsCode } from '../../support/rejects-async.js';

const never = new AbortController().signal;
const first = 'a'.repeat(32);
const second = 'b'.repeat(32);
const names: NameService = {
  user: async (uid) => (uid === 1000 ? 'ada' : undefined),
  group: async () => undefined,
};

describe('the unit of a cgroup path', () => {
  const cases: [cgroup: string, id: string | undefined, slice?: string][] = [
    ['0::/system.slice/nginx.service\n', 'nginx.service', 'system.slice'],
    ['0::/system.slice/nginx.service/worker/1\n', 'nginx.service', 'system.slice'],
    ['0::/system.slice/system-getty.slice/getty@tty1.service\n', 'getty@tty1.service', 'system-getty.slice'],
    ['0::/init.scope\n', 'init.scope', '-.slice'],
    // A user's own manager runs below one unit of the system's: whatever it is called there says nothing.
    [
      '0::/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service\n',
      'user@1000.service',
      'user-1000.slice',
    ],
    [
      '0::/user.slice/user-1000.slice/session-3.scope/system.slice/nginx.service\n',
      'session-3.scope',
      'user-1000.slice',
    ],
    [
      '0::/system.slice/docker-0123abcd.scope/system.slice/ssh.service\n',
      'docker-0123abcd.scope',
      'system.slice',
    ],
    [
      '12:cpu:/x\n1:name=systemd:/system.slice/cron.service\n0::/elsewhere.service\n',
      'cron.service',
      'system.slice',
    ],
    ['1:name=systemd:/\n0::/system.slice/nginx.service\n', undefined],
    ['0::/system.slice/_memory.service\n', 'memory.service', 'system.slice'],
    ['0::/system.slice/__odd.service\n', '_odd.service', 'system.slice'],
    ['0::/system.slice/dev\\x2dsda.mount\n', 'dev\\x2dsda.mount', 'system.slice'],
    ['0::/system.slice/a:b.service\n', 'a:b.service', 'system.slice'],
    ['0::/system.slice/gone.service (deleted)\n', undefined],
    ['0::/docker/0123abcd\n', undefined],
    ['0::/docker/0123abcd/system.slice/nginx.service\n', undefined],
    ['0::/../../system.slice/nginx.service\n', undefined],
    ['0::/system.slice\n', undefined],
    ['0::/\n', undefined],
    ['', undefined],
    ['4:memory:/system.slice/nginx.service\n', undefined],
    [`0::/system.slice/${'a'.repeat(256)}.service\n`, undefined],
    ['0::/system.slice/na me.service\n', undefined],
  ];
  for (const [cgroup, id, slice] of cases) {
    test(`${JSON.stringify(cgroup.slice(0, 70))} is ${id ?? 'none'}`, () => {
      assert.deepEqual(outermostUnit(cgroup), id === undefined ? undefined : { id, slice });
    });
  }

  test('nothing that lies below a unit changes which unit it is', () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[a-z.@/ \n]{1,20}$/)), (below) => {
        const tail = below.map((part) => `/${part.replaceAll('\n', '\\012')}`).join('');
        const path = `0::/user.slice/user@7.service${tail}\n`;
        if (path.includes('(deleted)')) return;
        assert.equal(outermostUnit(path)?.id, 'user@7.service');
      }),
    );
  });
});

interface Host {
  cgroup: string;
  invocation: string | undefined;
  shown: string | undefined;
  /** Runs between the two looks. */
  meanwhile(): void;
}

function attestorOf(host: Host) {
  const units: SystemdUnits = {
    invocation: () => host.invocation,
    async properties(unit, invocation) {
      host.meanwhile();
      return createSystemdUnits({ show: async () => host.shown }).properties(unit, invocation);
    },
    onChange: () => () => {},
  };
  return systemdAttestor(units, names, () => host.cgroup);
}

function hostOf(changes: Partial<Host> = {}): Host {
  return {
    cgroup: '0::/system.slice/web.service\n',
    invocation: first,
    shown: 'User=www-data\nFragmentPath=/etc/systemd/system/web.service\n',
    meanwhile: () => {},
    ...changes,
  };
}

function workload(): Workload {
  return { pid: process.pid, uid: 0, gid: 0, groups: [], process: openProcess(process.pid) };
}

async function selectorsOf(host: Host): Promise<string[]> {
  const caller = workload();
  try {
    return (await attestorOf(host).attest(caller, never)).map(formatSelector);
  } finally {
    caller.process.close();
  }
}

describe('the systemd attestor', () => {
  test('tells unit, slice, invocation, user and unit file', async () => {
    assert.deepEqual(await selectorsOf(hostOf()), [
      'systemd:id:web.service',
      'systemd:slice:system.slice',
      `systemd:invocation_id:${first}`,
      'systemd:user:www-data',
      'systemd:fragment_path:/etc/systemd/system/web.service',
    ]);
  });

  test('tells what it knows where the manager keeps no record or does not answer', async () => {
    assert.deepEqual(await selectorsOf(hostOf({ invocation: undefined, shown: undefined })), [
      'systemd:id:web.service',
      'systemd:slice:system.slice',
    ]);
  });

  test('names the user whom the manager shows as a number, if it has a name', async () => {
    const cgroup = '0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service\n';
    assert.ok((await selectorsOf(hostOf({ cgroup, shown: 'User=1000\n' }))).includes('systemd:user:ada'));
    assert.ok((await selectorsOf(hostOf({ cgroup, shown: 'User=4711\n' }))).includes('systemd:user:4711'));
  });

  test('a process outside of any unit has nothing to tell', async () => {
    await rejectsCode('unit_unknown', /runs in no systemd unit/, selectorsOf(hostOf({ cgroup: '0::/\n' })));
  });

  test('a unit that is started again while it is looked at, or a process that moves, is not believed', async () => {
    const restarted = hostOf();
    restarted.meanwhile = () => {
      restarted.invocation = second;
    };
    await rejectsCode('unit_changed', /changed its unit/, selectorsOf(restarted));
    const moved = hostOf();
    moved.meanwhile = () => {
      moved.cgroup = '0::/system.slice/other.service\n';
    };
    await rejectsCode('unit_changed', /changed its unit/, selectorsOf(moved));
  });

  test('a forged INVOCATION_ID in the environment is never looked at', async () => {
    process.env['INVOCATION_ID'] = second;
    try {
      assert.ok(!(await selectorsOf(hostOf())).includes(`systemd:invocation_id:${second}`));
    } finally {
      delete process.env['INVOCATION_ID'];
    }
  });

  test('watches the record of the very unit that it found', async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'tm-units-'));
    t.after(() => rmSync(directory, { recursive: true, force: true }));
    const attestor = systemdAttestor(createSystemdUnits({ directory }), names);
    let told = 0;
    const stop = attestor.watch?.([{ type: 'systemd', value: 'id:web.service' }], () => told++);
    symlinkSync(first, join(directory, 'invocation:web.service'));
    await until('it is told', () => told > 0);
    stop?.();
    attestor.watch?.([{ type: 'unix', value: 'uid:1' }], () => assert.fail('there is no unit to watch'))();
  });
});
