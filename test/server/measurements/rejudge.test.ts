import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Evidence } from '../../../src/measure/appraise/contract.js';
import { measureTimes } from '../../../src/server/measurements/limits.js';
import { pcrDigest } from '../../../src/tpm/pcr.js';
import { sameBytes } from '../../../src/tpm/quote-checks.js';
import { inForce } from '../../fakes/fake-policies.js';
import { settle } from '../../fakes/manual-clock.js';
import { type SimpleAppraiser, simpleAppraiser } from '../../fakes/simple-appraiser.js';
import { live } from './live.js';

/** A judge who does not look at PCR 5, as one whose policy has no rule for it. */
function lenientJudge(): SimpleAppraiser {
  const judge = simpleAppraiser();
  const { appraise } = judge;
  return Object.assign(judge, {
    appraise(evidence: Evidence, ...more: [never, never]) {
      const { quote, pcrValues } = evidence;
      const values = new Map([...(pcrValues ?? []), [5, Buffer.alloc(32)] as const]);
      const seen = pcrDigest(quote.digestHash, quote.selection, values);
      return appraise({ ...evidence, quote: { ...quote, pcrDigest: seen } }, ...more);
    },
  });
}

test('what a publication leaves in the archive is of one quote, though registers have changed since', async () => {
  const { world, host, session } = await live({ judge: lenientJudge() }, inForce());
  const { id } = world.host(host);
  const kept = (await world.measurements.archive.latest(id))?.record.id;
  host.chip.extend('sha256', 5, Buffer.alloc(32, 1));
  await world.clock.pass(30_000, 1000);
  assert.equal((await world.measurements.archive.latest(id))?.record.id, kept, 'it changed nothing');
  world.policies.set(inForce({ id: 'p2' }));
  await settle();
  const latest = await world.measurements.archive.latest(id);
  assert.equal(latest?.record.policyId, 'p2');
  const { quote, pcrValues = new Map() } = latest?.evidence ?? assert.fail('nothing is archived');
  assert.ok(sameBytes(pcrDigest('sha256', quote.selection, pcrValues), quote.pcrDigest));
  // The agent leaves values out that the server has: they are those of the newest quote.
  session.change = { without: 'all' };
  await world.clock.pass(30_000, 1000);
  assert.equal(session.over, false);
  await world.clock.pass(measureTimes.flushMs, 30_000);
  const { lastQuote } = world.host(host);
  const register = Buffer.from((await host.chip.pcrRead({ bank: 'sha256', pcrs: [5] })).get(5) ?? []);
  assert.equal(lastQuote?.pcrs['5'], register.toString('hex'), 'the host names its newest quote');
  await world[Symbol.asyncDispose]();
});
