import assert from 'node:assert/strict';
import { test } from 'node:test';
import { appraise } from '../../src/measure/appraise/appraise.js';
import { type Evidence, type LogKind, logKinds } from '../../src/measure/appraise/contract.js';
import { remedyOf } from '../../src/measure/appraise/reasons.js';
import { absent, type MeasuredHost, whole, withLogs, withoutValues } from '../support/appraisal-host.js';
import { type Draw, damaged, draws, relabelledBoot, relabelledIma, shuffled } from './log-mutations.js';
import {
  coveredByBootLog,
  coveredByIma,
  coveredByUserspace,
  imaRegister,
  NO_ACTION,
  walkBootLog,
} from './log-oracle.js';
import { type World, worlds } from './mutation-worlds.js';

const SEED = Number(process.env['TOUCHMARK_SEED'] ?? 20261101);
/** Of each log in all worlds together. */
const ROUNDS = Number(process.env['TOUCHMARK_MUTATIONS'] ?? 10_000);
const PER_WORLD = Math.ceil(ROUNDS / worlds.length);
const WITHOUT_VALUES = 5;

/** Whatever comes is a verdict with known reasons, in bounded time. */
function judged(evidence: Evidence, { policy }: World, about: string) {
  const begin = process.hrtime.bigint();
  const appraisal = appraise(evidence, undefined, policy);
  const spent = Number(process.hrtime.bigint() - begin) / 1e6;
  assert.ok(spent < 2000, `${about}: ${spent} ms`);
  for (const { reasons } of appraisal.explanation.components) {
    assert.ok(reasons.length <= 20, about);
    for (const { code, message } of reasons) {
      assert.notEqual(remedyOf(code), '', `${about}: ${code}`);
      assert.ok(message.length < 1000, `${about}: a message of ${message.length} characters`);
    }
  }
  return appraisal;
}

/** One log changed; of some rounds only the digest over the registers is known. */
function changed(host: MeasuredHost, kind: LogKind, bytes: Buffer, round: number): Evidence {
  const evidence = withLogs(host.evidence, { [kind]: whole(bytes) });
  return round % WITHOUT_VALUES === 0 ? withoutValues(evidence) : evidence;
}

/** Undefined for what the oracle cannot read. */
function covered(read: (bytes: Buffer) => string, bytes: Buffer): string | undefined {
  try {
    return read(bytes);
  } catch (error) {
    assert.ok(
      error instanceof RangeError || error instanceof SyntaxError || error instanceof TypeError,
      String(error),
    );
    return undefined;
  }
}

function partsOf(kind: LogKind, { bootLog, userspaceLog, entries }: MeasuredHost): readonly Buffer[] {
  if (kind === 'ima-list') return entries.map(({ bytes }) => bytes);
  if (kind === 'boot-log') {
    const { header, events } = walkBootLog(bootLog);
    return [header, ...events.map(({ start, end }) => bootLog.subarray(start, end))];
  }
  const records = userspaceLog.toString().split('\x1e').slice(1);
  return records.map((one) => Buffer.from(`\x1e${one}`));
}

const bytesOf = (kind: LogKind, host: MeasuredHost) =>
  ({ 'boot-log': host.bootLog, 'userspace-log': host.userspaceLog, 'ima-list': host.imaList })[kind];

function mutation(next: Draw, kind: LogKind, host: MeasuredHost): Buffer {
  const bytes = bytesOf(kind, host);
  const choice = next(10);
  if (choice === 0) return shuffled(partsOf(kind, host), next);
  if (choice === 1 && kind === 'boot-log') return relabelledBoot(bytes, next);
  if (choice === 1 && kind === 'ima-list') return relabelledIma(bytes, next);
  return damaged(bytes, next);
}

const heap = () => process.memoryUsage().heapUsed / 2 ** 20;

for (const [place, world] of worlds.entries()) {
  const { name, host, policy, pcrs } = world;
  const seed = SEED + 10 * place;
  const genuine = appraise(host.evidence, undefined, policy);

  test(`${name}: the genuine evidence is trusted, and what was changed afterwards is drifted`, () => {
    assert.equal(genuine.verdict, 'trusted', JSON.stringify(genuine.explanation.components));
    assert.equal(genuine.confirmed.imaEntries, world.entries);
    assert.equal(genuine.confirmed.userspaceEvents, world.records);
    // The oracle computes the same register as the host that was made.
    const prefix = host.imaList.subarray(0, genuine.confirmed.imaList);
    assert.equal(imaRegister(prefix), Buffer.from(host.pcrs.get(10) ?? []).toString('hex'));
    const [[pcr0]] = JSON.parse(coveredByBootLog(host.bootLog, [0]));
    assert.equal(pcr0, Buffer.from(host.pcrs.get(0) ?? []).toString('hex'));
    for (const evil of world.evil) assert.equal(judged(evil.evidence, world, name).verdict, 'drifted');
  });

  test(`${name}: of ${PER_WORLD} mutations of the boot log none is trusted that changes what the quote covers`, () => {
    const next = draws(seed);
    const read = (bytes: Buffer) => coveredByBootLog(bytes, pcrs);
    const [good, before] = [read(host.bootLog), heap()];
    const verdicts = new Map<string, number>();
    for (let round = 0; round < PER_WORLD; round++) {
      const bytes = mutation(next, 'boot-log', host);
      const about = `seed ${seed}, round ${round}`;
      const { verdict, explanation } = judged(changed(host, 'boot-log', bytes, round), world, about);
      const same = covered(read, bytes) === good;
      if (verdict === 'trusted') assert.ok(same, `${about}: trusted`);
      verdicts.set(`${verdict} ${same}`, (verdicts.get(`${verdict} ${same}`) ?? 0) + 1);
      if (same && isReadAlike(bytes, host.bootLog)) {
        assert.equal(verdict, 'trusted', `${about}: ${JSON.stringify(explanation.components)}`);
      }
    }
    assert.ok((verdicts.get('drifted false') ?? 0) > PER_WORLD / 3, JSON.stringify([...verdicts]));
    assert.ok((verdicts.get('trusted true') ?? 0) > PER_WORLD / 50, JSON.stringify([...verdicts]));
    assert.ok(heap() - before < 300);
  });

  test(`${name}: of ${PER_WORLD} mutations of the IMA list none is trusted but with exactly what the quote covers`, () => {
    const next = draws(seed + 1);
    const prefix = host.imaList.subarray(0, genuine.confirmed.imaList);
    const read = (bytes: Buffer) => coveredByIma(bytes, world.runtime);
    const [good, before] = [read(prefix), heap()];
    let trusted = 0;
    for (let round = 0; round < PER_WORLD; round++) {
      const bytes = mutation(next, 'ima-list', host);
      const about = `seed ${seed + 1}, round ${round}`;
      const { verdict, confirmed } = judged(changed(host, 'ima-list', bytes, round), world, about);
      if (verdict === 'trusted') {
        trusted++;
        assert.equal(covered(read, bytes.subarray(0, confirmed.imaList)), good, `${about}: trusted`);
      } else
        assert.notDeepEqual(bytes.subarray(0, prefix.length), prefix, `${about}: only the tail was changed`);
    }
    assert.ok(trusted > PER_WORLD / 50 && trusted < PER_WORLD * 0.8, `${trusted} were trusted`);
    assert.ok(heap() - before < 300);
  });

  if (world.records > 0)
    test(`${name}: of ${ROUNDS / 2} mutations of the userspace log none is trusted but with exactly what the quote covers`, () => {
      const next = draws(seed + 2);
      const prefix = host.userspaceLog.subarray(0, genuine.confirmed.userspaceLog);
      // A record ends where the next one begins.
      const end = host.userspaceLog.subarray(0, prefix.length + 1);
      const [good, before] = [coveredByUserspace(prefix), heap()];
      let trusted = 0;
      for (let round = 0; round < ROUNDS / 2; round++) {
        const bytes = mutation(next, 'userspace-log', host);
        const about = `seed ${seed + 2}, round ${round}`;
        const { verdict, confirmed } = judged(changed(host, 'userspace-log', bytes, round), world, about);
        if (verdict === 'trusted') {
          trusted++;
          const said = covered(coveredByUserspace, bytes.subarray(0, confirmed.userspaceLog));
          assert.equal(said, good, `${about}: trusted`);
        } else assert.notDeepEqual(bytes.subarray(0, end.length), end, `${about}: only the tail was changed`);
      }
      assert.ok(trusted > ROUNDS / 100 && trusted < ROUNDS * 0.4, `${trusted} were trusted`);
      assert.ok(heap() - before < 300);
    });

  test(`${name}: a host that is drifted is not trusted by any of ${ROUNDS / 10} changes of its logs`, () => {
    const next = draws(seed + 3);
    for (let round = 0; round < ROUNDS / 10; round++) {
      const evil = world.evil[next(world.evil.length)];
      const kind = logKinds[next(logKinds.length)];
      if (!evil || !kind || bytesOf(kind, evil).length === 0) continue;
      const evidence =
        next(12) === 0
          ? withLogs(evil.evidence, { [kind]: absent })
          : changed(evil, kind, mutation(next, kind, evil), round);
      const about = `seed ${seed + 3}, round ${round}, ${kind}`;
      assert.notEqual(judged(evidence, world, about).verdict, 'trusted', about);
    }
  });
}

/** All that is covered, and what is read without being covered: only labels that nobody looks at may differ. */
function isReadAlike(bytes: Buffer, genuine: Buffer): boolean {
  const [one, other] = [bytes, genuine].map((log) => {
    const { header, events } = walkBootLog(log);
    const rows = events.map(({ pcr, type, digest, data }) => [
      ...[pcr, type, digest],
      [8, 9, 12].includes(pcr) || type === NO_ACTION ? data.toString('hex') : '',
    ]);
    return JSON.stringify([header.toString('hex'), rows]);
  });
  return one === other;
}
