import type { Clock } from '../../clock.js';
import { TouchmarkError } from '../../errors.js';

/** One kind of work, counted by address. */
export interface RateLimiter {
  /**
   * Takes `count` tokens of an address, waiting for them.
   * @param deadline Unix milliseconds at which the caller gives up
   * @throws TouchmarkError `rate_limited` when the burst is smaller than `count`, or the tokens come after the deadline or
   *   later than anybody waits; `call_cancelled` when the signal fires first
   */
  take(address: string, count: number, wait: { deadline?: number; signal: AbortSignal }): Promise<void>;
  /** How many addresses are remembered. */
  readonly size: number;
}

export interface RateLimitOptions {
  /** Tokens a second, which is the burst too. */
  readonly rate: number;
  /** Names the work in the refusal: `attestations`. */
  readonly what: string;
  readonly clock: Clock;
  /** How many addresses are told apart; beyond them all share one bucket. */
  readonly maxAddresses?: number;
}

interface State {
  readonly buckets: Map<string, Bucket>;
  readonly options: RateLimitOptions;
  /** When full buckets were last looked for: at most once a second, for it walks over all. */
  sweptAt: number;
}

/** `tokens` may be below zero: then so many are promised to calls that wait. */
interface Bucket {
  tokens: number;
  at: number;
}

const MAX_ADDRESSES = 10_000;
/** Nobody is queued for longer, so that calls without a deadline cannot pile up without bound. */
const LONGEST_WAIT_MS = 30_000;
const OVERFLOW = 'overflow';

export function createRateLimiter(options: RateLimitOptions): RateLimiter {
  const state: State = { buckets: new Map(), options, sweptAt: 0 };
  return {
    get size() {
      return state.buckets.size;
    },
    async take(address, count, { deadline, signal }) {
      if (count > options.rate) throw tooMany(options, count);
      const bucket = bucketOf(state, rateKey(address));
      bucket.tokens -= count;
      if (bucket.tokens >= 0) return;
      const waitMs = (-bucket.tokens / options.rate) * 1000;
      const latest = Math.min(deadline ?? Number.POSITIVE_INFINITY, options.clock.now() + LONGEST_WAIT_MS);
      if (options.clock.now() + waitMs > latest) {
        bucket.tokens += count;
        throw new TouchmarkError(
          'rate_limited',
          `too many ${options.what} from this address, more than ${options.rate} a second`,
        );
      }
      await sleep(options.clock, waitMs, signal, () => {
        bucket.tokens += count;
      });
    },
  };
}

/** IPv6 hosts own a /64 at least: what they are counted by. */
export function rateKey(address: string): string {
  if (!address.includes(':')) return address;
  if (address.startsWith('::ffff:') && address.includes('.')) return address.slice(7);
  const [head = '', tail] = address.split('::');
  const groups = head.split(':').filter((group) => group !== '');
  if (tail === undefined) return `${groups.slice(0, 4).join(':')}::/64`;
  const rest = tail.split(':').filter((group) => group !== '');
  const zeros = Array<string>(Math.max(0, 8 - groups.length - rest.length)).fill('0');
  return `${[...groups, ...zeros, ...rest].slice(0, 4).join(':')}::/64`;
}

function bucketOf(state: State, key: string): Bucket {
  const { buckets, options } = state;
  const now = options.clock.now();
  const known = buckets.get(key);
  if (known !== undefined) return refill(known, now, options.rate);
  const most = options.maxAddresses ?? MAX_ADDRESSES;
  if (buckets.size >= most && now - state.sweptAt >= 1000) forgetFull(state, now);
  const place = buckets.size >= most ? OVERFLOW : key;
  const shared = buckets.get(place);
  if (shared !== undefined) return refill(shared, now, options.rate);
  const fresh = { tokens: options.rate, at: now };
  buckets.set(place, fresh);
  return fresh;
}

function refill(bucket: Bucket, now: number, rate: number): Bucket {
  bucket.tokens = Math.min(rate, bucket.tokens + (Math.max(0, now - bucket.at) / 1000) * rate);
  bucket.at = now;
  return bucket;
}

/** A full bucket is the same as none. */
function forgetFull(state: State, now: number): void {
  state.sweptAt = now;
  for (const [key, bucket] of state.buckets) {
    if (refill(bucket, now, state.options.rate).tokens >= state.options.rate) state.buckets.delete(key);
  }
}

function tooMany(options: RateLimitOptions, count: number): TouchmarkError {
  const message = `${count} ${options.what} in one call are more than the ${options.rate} a second that are allowed`;
  return new TouchmarkError('rate_limited', message);
}

function sleep(clock: Clock, ms: number, signal: AbortSignal, giveBack: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const give = () => {
      cancel();
      giveBack();
      reject(new TouchmarkError('call_cancelled', 'the caller gave up while it waited for its turn'));
    };
    const cancel = clock.after(ms, () => {
      signal.removeEventListener('abort', give);
      resolve();
    });
    if (signal.aborted) give();
    else signal.addEventListener('abort', give, { once: true });
  });
}
