/**
 * From the measurement of an unknown program on a host to the end of its workload's stream, and from its acceptance to the
 * identity's return, against what is promised; server, agent and a chip by swtpm: `node dist/bench/drift.js [rounds]`.
 * Unannounced: the agent does not see the kernel's count grow, so that the next tick finds it.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { Disposal } from '../src/disposal.js';
import { until } from '../test/fakes/manual-clock.js';
import { begin, group, known, type Options, policy, yaml } from '../test/swtpm/measured-world.js';

const ROUNDS = Number(process.argv[2] ?? 8);
const PROMISED_MS = 2_000;
/** Seconds; the shortest that may be configured, so that the benchmark is short, too. */
const TICK = 5;

const unannounced: Options = {
  server: { measurement: { tickInterval: TICK, keepEvidence: 3600, blastRadius: 10 } },
  prepare: ({ securityfs }) => rm(join(securityfs, 'ima', 'runtime_measurements_count')),
};

interface Seen {
  readonly gone: number[];
  readonly back: number[];
}

async function drifts(options: Options): Promise<Seen> {
  await using cleanups = new Disposal();
  const after = (task: () => unknown) => cleanups.defer(async () => void (await task()));
  const { host, agent, operator, stream } = await begin({ after } as Parameters<typeof begin>[0], options);
  const files = ['web'];
  const accept = () => operator.good('apply -f -', [known(...files), policy, group].map(yaml).join(''));
  await accept();
  await until('trusted', () => agent.store.status.state === 'trusted', 60_000);
  const seen: Seen = { gone: [], back: [] };
  for (let round = 0; round < ROUNDS; round += 1) {
    const held = stream();
    await held.next();
    // At any place of the interval.
    await setTimeout(1_000 + Math.random() * 1_000);
    const ran = performance.now();
    await host.extendFile(`/tmp/unknown-${round}`, `unknown-${round}`);
    await held.end(60_000);
    seen.gone.push(performance.now() - ran);
    files.push(`unknown-${round}`);
    const accepted = performance.now();
    await accept();
    await until('served again', () => agent.store.status.phase === 'serving', 60_000);
    await stream().next();
    seen.back.push(performance.now() - accepted);
  }
  return seen;
}

function report(what: string, times: readonly number[], promised: number): void {
  const sorted = [...times].sort((a, b) => a - b);
  const [median = 0, worst = 0] = [sorted[sorted.length >> 1], sorted.at(-1)];
  process.stdout.write(
    `${what}: ${median.toFixed(0)} ms, at worst ${worst.toFixed(0)}; ` +
      `promised ${promised}: ratio ${(worst / promised).toFixed(2)}\n`,
  );
}

const announced = await drifts({});
report('announced drift to the end of the stream', announced.gone, PROMISED_MS);
report('acceptance to the identity', announced.back, PROMISED_MS);
const { gone } = await drifts(unannounced);
report('unannounced drift to the end of the stream', gone, TICK * 1_000 + PROMISED_MS);
