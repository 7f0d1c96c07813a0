import assert from 'node:assert/strict';
import {
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { createSystemdUnits } from '../../src/host/systemd-units.js';
import { manualClock, until } from '../fakes/manual-clock.js';

const first = '0123456789abcdef0123456789abcdef';
const second = 'fedcba9876543210fedcba9876543210';

function recordsIn(t: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), 'tm-units-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return {
    directory,
    /** As the manager does it: a new link under another name, put in place in one step. */
    start(unit: string, invocation: string) {
      const temporary = join(directory, `.#${unit}`);
      symlinkSync(invocation, temporary);
      renameSync(temporary, join(directory, `invocation:${unit}`));
    },
    stop: (unit: string) => unlinkSync(join(directory, `invocation:${unit}`)),
  };
}

describe('the invocation', () => {
  test('is what the manager’s record says now', (t) => {
    const records = recordsIn(t);
    const units = createSystemdUnits({ directory: records.directory });
    assert.equal(units.invocation('web.service'), undefined);
    records.start('web.service', first);
    assert.equal(units.invocation('web.service'), first);
    records.start('web.service', second);
    assert.equal(units.invocation('web.service'), second);
    records.stop('web.service');
    assert.equal(units.invocation('web.service'), undefined);
  });

  test('is nothing when the record is no link or no id', (t) => {
    const { directory, start } = recordsIn(t);
    const units = createSystemdUnits({ directory });
    writeFileSync(join(directory, 'invocation:file.service'), first);
    for (const bad of [first.slice(1), `${first}0`, first.toUpperCase(), '../secret', 'x'.repeat(32)]) {
      start('odd.service', bad);
      assert.equal(units.invocation('odd.service'), undefined);
    }
    assert.equal(units.invocation('file.service'), undefined);
    assert.equal(createSystemdUnits({ directory: '/nowhere' }).invocation('web.service'), undefined);
  });
});

describe('properties', () => {
  test('are asked for once for each invocation', async () => {
    const asked: string[] = [];
    const show = async (unit: string) => {
      asked.push(unit);
      return 'User=www-data\nFragmentPath=/etc/systemd/system/web.service\nOther=a=b\n';
    };
    const units = createSystemdUnits({ show });
    const expected = { user: 'www-data', fragmentPath: '/etc/systemd/system/web.service' };
    const both = await Promise.all([units.properties('web', first), units.properties('web', first)]);
    assert.deepEqual(both, [expected, expected]);
    await units.properties('web', second);
    assert.deepEqual(asked, ['web', 'web']);
  });

  test('that are empty are not there', async () => {
    const units = createSystemdUnits({ show: async () => 'User=\nFragmentPath=\n' });
    assert.deepEqual(await units.properties('web', first), {});
  });

  test('of a manager that did not answer are asked for again soon; not at every call', async () => {
    const clock = manualClock();
    const answers = [undefined, 'User=late\n'];
    let asked = 0;
    const show = async () => answers[asked++];
    const units = createSystemdUnits({ show, clock });
    assert.deepEqual(await units.properties('web', first), {});
    assert.deepEqual(await units.properties('web', first), {});
    assert.equal(asked, 1);
    clock.advance(10_001);
    assert.deepEqual(await units.properties('web', first), { user: 'late' });
    clock.advance(10_001);
    assert.deepEqual(await units.properties('web', first), { user: 'late' });
    assert.equal(asked, 2);
  });

  test('without an invocation are remembered for a short while', async () => {
    const clock = manualClock();
    let asked = 0;
    const units = createSystemdUnits({ clock, show: async () => `User=u${++asked}\n` });
    assert.deepEqual(await units.properties('web', undefined), { user: 'u1' });
    assert.deepEqual(await units.properties('web', undefined), { user: 'u1' });
    clock.advance(10_001);
    assert.deepEqual(await units.properties('web', undefined), { user: 'u2' });
  });

  test('are nothing where there is no service manager', async () => {
    assert.deepEqual(await createSystemdUnits().properties('no-such-unit-anywhere.service', first), {});
  });
});

describe('watching', () => {
  test('tells of the start, the restart and the stop of just that unit', async (t) => {
    const records = recordsIn(t);
    const units = createSystemdUnits({ directory: records.directory });
    const seen: string[] = [];
    const stops = ['web.service', 'other.service'].map((unit) => units.onChange(unit, () => seen.push(unit)));
    for (const step of [
      () => records.start('web.service', first),
      () => records.start('web.service', second),
      () => records.stop('web.service'),
    ]) {
      seen.length = 0;
      step();
      await until('it is told', () => seen.length > 0);
    }
    assert.ok(!seen.includes('other.service'));
    for (const stop of stops) stop();
  });

  test('keeps no descriptor when nobody listens, and starts again for the next', async (t) => {
    const records = recordsIn(t);
    const units = createSystemdUnits({ directory: records.directory });
    const round = async () => {
      let told = 0;
      const stops = Array.from({ length: 5 }, () => units.onChange('web.service', () => told++));
      records.start('web.service', first);
      await until('all are told', () => told >= 5);
      for (const stop of stops) stop();
    };
    await round();
    await new Promise((resolve) => setTimeout(resolve, 20));
    const before = readdirSync('/proc/self/fd').length;
    for (let at = 0; at < 20; at++) await round();
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.ok(readdirSync('/proc/self/fd').length <= before + 1);
  });

  test('says nothing where there is no such directory', () => {
    createSystemdUnits({ directory: '/nowhere' }).onChange('web.service', () => assert.fail())();
  });
});
