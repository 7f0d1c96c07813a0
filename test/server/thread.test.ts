import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { createThread, type Numbered } from '../../src/server/thread.js';

interface Question {
  readonly say?: string;
  readonly exit?: number;
  readonly fail?: string;
  readonly silent?: boolean;
}
type Answer = Numbered & { readonly heard: readonly string[]; readonly said: string };

/** Repeats what it is asked, with what it was told; ends or fails when asked to. */
const echo = new URL(
  `data:text/javascript,${encodeURIComponent(`
    import { parentPort } from 'node:worker_threads';
    const heard = [];
    parentPort.on('message', ({ id, say, exit, fail, silent, told }) => {
      if (told !== undefined) heard.push(told);
      else if (exit !== undefined) process.exit(exit);
      else if (fail !== undefined) throw new Error(fail);
      else if (silent === undefined) parentPort.postMessage({ id, said: say, heard });
    });
  `)}`,
);

describe('a thread', () => {
  let ends = 0;
  const thread = createThread<Question, Answer>(echo, { onEnd: () => (ends += 1) });
  after(() => thread[Symbol.asyncDispose]());

  it('answers each question with its own answer, whatever it was told before', async () => {
    thread.tell({ told: 'a policy' });
    const answers = await Promise.all(['a', 'b', 'c'].map((say) => thread.ask({ say })));
    assert.deepEqual(
      answers.map(({ said }) => said),
      ['a', 'b', 'c'],
    );
    assert.deepEqual(answers[2]?.heard, ['a policy']);
  });

  it('that fails or ends fails what it was asked, says so once, and is replaced by one that was told nothing', async () => {
    for (const [question, message] of [
      [{ fail: 'out of memory' }, /^out of memory$/],
      [{ exit: 3 }, /^the thread has ended$/],
    ] as const) {
      const before = ends;
      const asked = thread.ask(question);
      const behind = [1, 2].map((n) => thread.ask({ say: `behind it, ${n}` }));
      await assert.rejects(asked, { message });
      assert.deepEqual(
        (await Promise.all(behind)).map(({ said }) => said),
        ['behind it, 1', 'behind it, 2'],
      );
      assert.equal(ends, before + 1);
      assert.deepEqual((await thread.ask({ say: 'again' })).heard, []);
    }
  });

  it('is not asked what cannot be sent, and goes on', async () => {
    await assert.rejects(thread.ask({ say: (() => 1) as never }), /could not be cloned/);
    assert.equal((await thread.ask({ say: 'still here' })).said, 'still here');
  });

  it('is told what a question needs when its turn has come, however often it was replaced', async () => {
    const failing = thread.ask({ fail: 'a fault' });
    const later = thread.ask(() => {
      thread.tell({ told: 'a policy' });
      return { say: 'judge by it' };
    });
    await assert.rejects(failing, { message: 'a fault' });
    assert.deepEqual((await later).heard, ['a policy']);
  });

  it('that takes too long over one question is ended, and the next one is answered by another', async () => {
    await using slow = createThread<Question, Answer>(echo, { answerMs: 3000 });
    await slow.ask({ say: 'it has begun' });
    const never = slow.ask({ silent: true });
    const behind = slow.ask({ say: 'behind it' });
    await assert.rejects(never, { message: 'the thread did not answer within 3000 ms' });
    assert.equal((await behind).said, 'behind it');
  });

  it('that is disposed of fails whoever waits', async () => {
    const ended = createThread<Question, Answer>(echo);
    const asked = [ended.ask({ say: 'a' }), ended.ask({ say: 'b' })].map((one) =>
      assert.rejects(one, { message: 'the server stops' }),
    );
    await ended[Symbol.asyncDispose]();
    await Promise.all(asked);
  });

  it('rests when nobody asked for a while, and starts again', async () => {
    let rested = 0;
    await using short = createThread<Question, Answer>(echo, { idleMs: 5, onEnd: () => (rested += 1) });
    await short.ask({ say: 'a' });
    while (rested === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    assert.equal((await short.ask({ say: 'b' })).said, 'b');
  });
});
