import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createLimits } from '../../../src/server/access/limits.js';
import { createRateLimiter, rateKey } from '../../../src/server/access/rate-limit.js';
import { manualClock, settle } from '../../fakes/manual-clock.js';

const never = new AbortController().signal;

function limiterOf(rate: number, maxAddresses?: number) {
  const clock = manualClock();
  const limiter = createRateLimiter({
    ...{ rate, what: 'attestations', clock },
    ...(maxAddresses === undefined ? {} : { maxAddresses }),
  });
  return { clock, limiter };
}

test('a burst passes at once, and what comes after it waits for its tokens', async () => {
  const { clock, limiter } = limiterOf(2);
  await limiter.take('10.0.0.1', 2, { signal: never });
  let passed = false;
  const third = limiter.take('10.0.0.1', 1, { signal: never }).then(() => {
    passed = true;
  });
  await clock.pass(499);
  assert.equal(passed, false);
  await clock.pass(1);
  await third;
  assert.equal(passed, true);
});

test('more than the burst is refused at once, whatever tokens there are', async () => {
  const { limiter } = limiterOf(5);
  await assert.rejects(limiter.take('a', 6, { signal: never }), {
    code: 'rate_limited',
    message: '6 attestations in one call are more than the 5 a second that are allowed',
  });
});

test('a call whose deadline comes before its tokens is refused at once and takes none', async () => {
  const { clock, limiter } = limiterOf(1);
  await limiter.take('a', 1, { signal: never });
  const deadline = clock.now() + 500;
  await assert.rejects(limiter.take('a', 1, { signal: never, deadline }), { code: 'rate_limited' });
  const later = limiter.take('a', 1, { signal: never, deadline: clock.now() + 1000 });
  await clock.pass(1000);
  await later;
});

test('nobody is queued for longer than half a minute', async () => {
  const { limiter, clock } = limiterOf(1);
  const waiting = Array.from({ length: 31 }, () => limiter.take('a', 1, { signal: never }));
  await assert.rejects(limiter.take('a', 1, { signal: never }), { code: 'rate_limited' });
  await clock.pass(30_000);
  await Promise.all(waiting);
});

test('who gives up while waiting gives the tokens back', async () => {
  const { clock, limiter } = limiterOf(1);
  await limiter.take('a', 1, { signal: never });
  const stop = new AbortController();
  const waiting = limiter.take('a', 1, { signal: stop.signal });
  stop.abort();
  await assert.rejects(waiting, { code: 'call_cancelled' });
  assert.equal(clock.timers, 0);
  const next = limiter.take('a', 1, { signal: never });
  await clock.pass(1000);
  await next;
});

test('addresses do not take from one another', async () => {
  const { limiter } = limiterOf(1);
  for (let host = 1; host < 50; host += 1) await limiter.take(`10.0.0.${host}`, 1, { signal: never });
  assert.equal(limiter.size, 49);
});

test('the memory of addresses is bounded: full buckets go first, then newcomers share one', async () => {
  const { clock, limiter } = limiterOf(1, 3);
  for (const address of ['a', 'b', 'c']) await limiter.take(address, 1, { signal: never });
  await limiter.take('d', 1, { signal: never });
  assert.equal(limiter.size, 4);
  const deadline = clock.now() + 10;
  await assert.rejects(limiter.take('e', 1, { signal: never, deadline }), { code: 'rate_limited' });
  await clock.pass(2000);
  await limiter.take('f', 1, { signal: never });
  assert.ok(limiter.size <= 4);
});

test('an IPv6 host counts by its /64, an IPv4-mapped one by its IPv4 address', () => {
  assert.equal(rateKey('2001:db8:1:2:3:4:5:6'), rateKey('2001:db8:1:2:ffff::1'));
  assert.notEqual(rateKey('2001:db8:1:2::1'), rateKey('2001:db8:1:3::1'));
  assert.equal(rateKey('::ffff:10.0.0.1'), '10.0.0.1');
  assert.equal(rateKey('::1'), rateKey('0:0:0:0:0:0:0:2'));
  assert.equal(rateKey('10.0.0.1'), '10.0.0.1');
});

test('whatever is asked for, no more passes than the rate allows', async () => {
  const asks = fc.array(
    fc.record({ wait: fc.integer({ min: 0, max: 700 }), count: fc.integer({ min: 1, max: 4 }) }),
    {
      maxLength: 12,
    },
  );
  await fc.assert(
    fc.asyncProperty(asks, async (list) => {
      const { clock, limiter } = limiterOf(4);
      const start = clock.now();
      let passed = 0;
      for (const { wait, count } of list) {
        await clock.pass(wait);
        limiter.take('a', count, { signal: never }).then(
          () => {
            passed += count;
          },
          () => {},
        );
        await settle();
        assert.ok(passed <= 4 + ((clock.now() - start) / 1000) * 4 + 1e-6);
      }
    }),
    { numRuns: 10 },
  );
});

test('the Unix socket is not limited, and without rates nobody is', async () => {
  const clock = manualClock();
  const limited = createLimits({ attest: 1, sign: 1, postStatus: 1 }, clock);
  const call = { deadline: clock.now(), signal: never };
  for (let i = 0; i < 10; i += 1) await limited.attest.take('', 1, call);
  await limited.x509.take('a', 1, call);
  await limited.jwt.take('a', 1, call);
  await assert.rejects(limited.x509.take('a', 1, call), {
    code: 'rate_limited',
    message: /X\.509 signatures/,
  });
  const free = createLimits(undefined, clock);
  for (let i = 0; i < 100; i += 1) await free.attest.take('a', 1000, call);
});
