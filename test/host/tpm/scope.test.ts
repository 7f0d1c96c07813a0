import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LaneTimeout } from '../../../native/lane.js';
import type { EsysLibrary } from '../../../native/tss2-esys.js';
import type { NativeContext } from '../../../src/host/tpm/context.js';
import { TpmCallError } from '../../../src/host/tpm/response-code.js';
import { openScope } from '../../../src/host/tpm/scope.js';

interface FakeChip extends NativeContext {
  /** Name and handle of each call. */
  calls: string[];
}

/** Answers commands with these codes, then with success; a handle slot gets the next number. */
function fakeChip(codes: readonly number[], delayMs = 0): FakeChip {
  const left = [...codes];
  const calls: string[] = [];
  let handle = 100;
  const answer = (name: string, args: readonly unknown[]): number => {
    calls.push(typeof args[1] === 'number' ? `${name} ${args[1]}` : name);
    const code = name === 'Esys_FlushContext' ? 0 : (left.shift() ?? 0);
    const slot = args.at(-1);
    if (code === 0 && name === 'Esys_StartAuthSession' && slot instanceof Buffer) {
      handle += 1;
      slot.writeUInt32LE(handle);
    }
    return code;
  };
  const esys = {
    now: (name: string, ...args: unknown[]) => answer(name, args),
    later: async (name: string, ...args: unknown[]) => {
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      return answer(name, args);
    },
  } as unknown as EsysLibrary;
  return { esys, address: 1n, calls, close: async () => {} };
}

const startSession = (scope: ReturnType<typeof openScope>) => {
  const slot = scope.transient();
  const call = scope.call('Esys_StartAuthSession', 1, 2, 3, 4, 5, null, 0, null, 11, slot.memory);
  return { slot, call };
};

describe('one operation on the chip', () => {
  test('repeats what the chip asks to be repeated', async () => {
    const chip = fakeChip([0x922, 0x908, 0x920]);
    const scope = openScope(chip, 1000);
    const { slot, call } = startSession(scope);
    await call;
    assert.equal(chip.calls.length, 4);
    assert.equal(slot.handle, 101);
    assert.deepEqual(await scope.release(1000), []);
    assert.equal(chip.calls.at(-1), 'Esys_FlushContext 101');
  });

  test('does not repeat a lockout or a refusal', async () => {
    for (const code of [0x921, 0x98e, 0x1df, 0xa000a]) {
      const chip = fakeChip([code, code]);
      const scope = openScope(chip, 1000);
      await assert.rejects(startSession(scope).call, (error) => {
        assert.ok(error instanceof TpmCallError);
        assert.equal(error.code, code);
        assert.equal(error.command, 'Esys_StartAuthSession');
        return true;
      });
      assert.equal(chip.calls.length, 1);
      assert.deepEqual(await scope.release(1000), []);
      assert.equal(chip.calls.length, 1, 'nothing was made, so nothing is flushed');
    }
  });

  test('gives up on a chip that stays busy', async () => {
    const chip = fakeChip(Array.from({ length: 20 }, () => 0x922));
    const scope = openScope(chip, 1000, [1, 1, 1]);
    await assert.rejects(startSession(scope).call, { code: 0x922, failure: 'retry' });
    assert.equal(chip.calls.length, 4);
  });

  test('flushes in reverse order, and not again what was flushed to make room', async () => {
    const chip = fakeChip([]);
    const scope = openScope(chip, 1000);
    const slots = [startSession(scope), startSession(scope), startSession(scope)];
    for (const { call } of slots) await call;
    await scope.flush(slots[1]?.slot ?? assert.fail());
    chip.calls.length = 0;
    assert.deepEqual(await scope.release(1000), []);
    assert.deepEqual(chip.calls, ['Esys_FlushContext 103', 'Esys_FlushContext 101']);
    assert.deepEqual(await scope.release(1000), []);
    assert.equal(chip.calls.length, 2);
  });

  test('finds the handle of a call for which nobody waited', async () => {
    const chip = fakeChip([], 60);
    const scope = openScope(chip, 10);
    await assert.rejects(startSession(scope).call, (error) => error instanceof LaneTimeout);
    assert.equal(await scope.stuck, 0);
    assert.deepEqual(await scope.release(1000), []);
    assert.deepEqual(chip.calls, ['Esys_StartAuthSession 1', 'Esys_FlushContext 101']);
  });

  test('stops at once when flushing hangs: the thread is still inside', async () => {
    const chip = fakeChip([], 40);
    const scope = openScope(chip, 1000);
    await startSession(scope).call;
    await startSession(scope).call;
    assert.equal(scope.stuck, undefined);
    const failures = await scope.release(10);
    assert.equal(failures.length, 1);
    assert.equal(await scope.stuck, 0);
    assert.ok(failures[0] instanceof LaneTimeout);
  });
});
