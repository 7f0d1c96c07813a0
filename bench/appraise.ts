// Judging an IMA list of 100 000 entries, and ticks that add little to it, against bare SHA-256: node dist/bench/appraise.js
import { createHash, hash } from 'node:crypto';
import { appraise } from '../src/measure/appraise/appraise.js';
import { compilePolicy, openWindows } from '../src/measure/appraise/compile.js';
import type { AppraisalState } from '../src/measure/appraise/state.js';
import { parseImaBinary } from '../src/measure/ima/ima-binary.js';
import { imaReplay } from '../src/measure/ima/ima-replay.js';
import type { ResolvedPolicy } from '../src/measure/policy/model.js';
import { allRules, goodHost, goodReferences, resolved } from '../test/support/appraisal-factory.js';
import {
  evidenceOf,
  file,
  type MeasuredHost,
  measure,
  sha256,
  unchanged,
  withLogs,
} from '../test/support/appraisal-host.js';

const ENTRIES = 100_000;
const GROWTH = 30;
const path = (n: number) => `/usr/lib/package-${n % 97}/file-${n}.so`;

function milliseconds(task: () => void): number {
  const begin = process.hrtime.bigint();
  task();
  return Number(process.hrtime.bigint() - begin) / 1e6;
}

function policy(): ResolvedPolicy {
  const files = Array.from({ length: ENTRIES + GROWTH }, (_, n) => ({
    digest: sha256(path(n)),
    path: path(n),
  }));
  const sets = [goodReferences, { ...goodReferences, ukis: [], files }];
  return resolved(
    {
      ...allRules,
      runtime: { ...allRules.runtime, rules: { policies: [], commandLine: ['ima_policy=tcb'] } },
    },
    sets,
  );
}

function host(entries: number): MeasuredHost {
  const files = Array.from({ length: entries }, (_, n) => file(path(n)));
  return measure({ ...goodHost, ima: [...goodHost.ima, ...files] });
}

/** The next quote, with so many more entries behind those that are confirmed. */
function tick(from: MeasuredHost, state: AppraisalState, entries: number) {
  const list = Buffer.concat(Array.from({ length: entries }, (_, n) => file(path(ENTRIES + n)).bytes));
  const replay = imaReplay('sha256', { start: new Map([[10, state.ima.value]]) });
  for (const record of parseImaBinary(list)) replay.extend(record);
  const pcrs = new Map([...from.pcrs, [10, replay.value(10) ?? new Uint8Array(32)]]);
  const part = { kind: 'bytes', offset: state.confirmed.imaList, bytes: list } as const;
  return withLogs(evidenceOf(pcrs, {}), {
    'boot-log': unchanged,
    'userspace-log': unchanged,
    'ima-list': part,
  });
}

const grown = host(ENTRIES);
const state: { last?: AppraisalState } = {};
for (let round = 0; round < 3; round++) {
  const judged = policy();
  const bare = milliseconds(() => createHash('sha256').update(grown.imaList).digest());
  // What no judgement can do without: each entry is hashed, and each hash extends the register.
  const least = milliseconds(() => {
    for (const { bytes } of grown.entries)
      hash('sha256', hash('sha256', bytes, 'binary').padEnd(64), 'binary');
  });
  const compiled = milliseconds(() => compilePolicy(judged, openWindows(judged, grown.evidence.at)));
  const first = milliseconds(() => {
    const result = appraise(grown.evidence, undefined, judged);
    if (result.verdict !== 'trusted') throw new Error(JSON.stringify(result.explanation.components));
    state.last = result.newState;
  });
  const again = milliseconds(() => appraise(grown.evidence, undefined, judged));
  process.stdout.write(
    `${grown.imaList.length} bytes, ${grown.entries.length} entries: bare SHA-256 ${bare.toFixed(0)} ms, two hashes an entry ` +
      `${least.toFixed(0)} ms; the policy made ready once ${compiled.toFixed(0)} ms; judged ${first.toFixed(0)} ms (${(first / least).toFixed(1)} times), ` +
      `entries that were seen before ${again.toFixed(0)} ms\n`,
  );
  const { last } = state;
  if (!last) throw new Error('nothing was judged');
  for (const entries of [0, GROWTH]) {
    const evidence = tick(grown, last, entries);
    const rounds = 2000;
    const verdicts = new Set<string>();
    const spent = milliseconds(() => {
      for (let n = 0; n < rounds; n++) verdicts.add(appraise(evidence, last, judged).verdict);
    });
    process.stdout.write(
      `  a tick of ${entries} entries: ${((spent / rounds) * 1000).toFixed(0)} us, ${[...verdicts].join()}\n`,
    );
  }
}
