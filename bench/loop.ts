// The longest time for which an IMA list of 64 MB holds up the event loop, and all of its time: node dist/bench/loop.js
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { program } from '../src/cli/touchmark/program.js';
import { parseImaBinary } from '../src/measure/ima/ima-binary.js';
import { imaReplay } from '../src/measure/ima/ima-replay.js';
import { appraiser } from '../src/server/measurements/appraiser.js';
import { createJudge } from '../src/server/measurements/judge.js';
import { type } from '../test/cli/type.js';
import { allRules, goodReferences, resolved } from '../test/support/appraisal-factory.js';
import { evidenceOf } from '../test/support/appraisal-host.js';
import { imaList } from '../test/support/ima-list.js';

const RESOLUTION = 1;
/** A little less than the 64 MiB that are taken of a list. */
const list = imaList(480_000);

const turns = () => new Promise((resolve) => setTimeout(resolve, 20 * RESOLUTION));

/** Milliseconds in all, and of the longest turn of the loop. */
async function measured(name: string, task: () => Promise<unknown>): Promise<void> {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION });
  delay.enable();
  // It counts from its first tick on.
  await turns();
  const begin = performance.now();
  await task();
  // The turn in which it ended is counted too.
  await turns();
  delay.disable();
  const spent = performance.now() - begin;
  process.stdout.write(`${name}: ${spent.toFixed(0)} ms, longest block ${(delay.max / 1e6).toFixed(0)} ms\n`);
}

const directory = mkdtempSync(join(tmpdir(), 'tm-loop-'));
const path = join(directory, 'ima');
writeFileSync(path, list);
process.stdout.write(`${list.length} bytes\n`);
await measured('touchmark inspect ima-log', async () => {
  const { code, stderr } = await type(program, ['inspect', 'ima-log', path, '-output', 'json']);
  if (code !== 0) throw new Error(stderr);
});
rmSync(directory, { recursive: true });

const replay = imaReplay('sha256');
for (const record of parseImaBinary(list)) replay.extend(record);
const evidence = evidenceOf(replay.values(), { imaList: list });
const policy = resolved(allRules, [goodReferences]);
{
  await using judge = createJudge(appraiser);
  await measured('judged by the server', async () => {
    const { confirmed } = await judge.judge(evidence, undefined, policy);
    if (confirmed.imaList !== list.length) throw new Error(`${confirmed.imaList} bytes are confirmed`);
  });
}
await measured('judged without a thread', async () => appraiser.appraise(evidence, undefined, policy));
