import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { createThread, type Numbered } from '../../src/server/thread.js';

interface Question {
  readonly say?: string;
  readonly exit?: number;
  readonly fail?: string;
}
type Answer = Numbered & { readonly heard: readonly string[]; readonly said: string };

/** Repeats what it is asked, with what it was told; ends or fails when asked to. */
const echo = new URL(
  `data:text/javascript,${encodeURIComponent(`
    import { parentPort } from 'node:worker_threads';
    const heard = [];
    parentPort.on('message', ({ id, say, exit, fail, told }) => {
      if (told !== undefined) heard.push(told);
      else if (exit !== undefined) process.exit(exit);
      else if (fail !== undefined) throw new Error(fail);
      else parentPort.postMessage({ id, said: say, heard });
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

  it('that fails or ends fails whoever waits, says so once, and is replaced by one that was told nothing', async () => {
    for (const [question, message] of [
      [{ fail: 'out of memory' }, /^out of memory$/],
      [{ exit: 3 }, /^the thread has ended$/],
    ] as const) {
      const before = ends;
      const asked = [thread.ask(question), thread.ask({ say: 'behind it' })];
      for (const one of asked) await assert.rejects(one, { message });
      assert.equal(ends, before + 1);
      assert.deepEqual((await thread.ask({ say: 'again' })).heard, []);
    }
  });

  it('is not asked what cannot be sent, and goes on', async () => {
    await assert.rejects(thread.ask({ say: (() => 1) as never }), /could not be cloned/);
    assert.equal((await thread.ask({ say: 'still here' })).said, 'still here');
  });

  it('rests when nobody asked for a while, and starts again', async () => {
    let rested = 0;
    await using short = createThread<Question, Answer>(echo, { idleMs: 5, onEnd: () => (rested += 1) });
    await short.ask({ say: 'a' });
    while (rested === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    assert.equal((await short.ask({ say: 'b' })).said, 'b');
  });
});
