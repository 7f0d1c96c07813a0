/** One question of a session and the verification of its answer: nonce, deadline, key, clock. */
import { type SentValues, sentValues } from '../../attest/evidence.js';
import type { LogWish, SentLogPart } from '../../attest/logs.js';
import { newNonce } from '../../attest/nonces.js';
import { tickExtraDataOfHash } from '../../attest/transcript.js';
import { hasCode } from '../../errors.js';
import { logKinds } from '../../measure/appraise/contract.js';
import { digest } from '../../tpm/algorithms.js';
import type { ClockInfo } from '../../tpm/attest.js';
import { compareClocks } from '../../tpm/clocks.js';
import { parsePublic, type TpmPublic } from '../../tpm/public.js';
import { type QuoteFacts, verifyQuote } from '../../tpm/quote.js';
import { sameBytes } from '../../tpm/quote-checks.js';
import type { Host, QuoteRecord, Reason } from '../model.js';
import { wishesFor } from './collect.js';
import { measureLimits, measureTimes } from './limits.js';
import { goesOn, isBootUnexplained, isListUnexplained, type Remembered } from './memory.js';
import type { MeasurementConfig, VerifiedQuote } from './room.js';
import { encodeTick, type SessionEvidence } from './wire.js';

/** A tick that is on its way, with what was known when it went out: its answer is held against that. */
export interface AskedTick {
  readonly seq: number;
  readonly nonce: Uint8Array;
  /** As it goes onto the wire: the quote is bound to exactly these. */
  readonly bytes: Uint8Array;
  readonly wishes: readonly LogWish[];
  readonly known: Remembered | undefined;
  /** The newest quote of the host: one that is made for this tick comes later. */
  readonly previous: ClockInfo | undefined;
}

const LONG_LIST = 2 * 1024 * 1024;

export function askTick(
  seq: number,
  host: Host,
  known: Remembered | undefined,
  { bank, pcrs }: Pick<MeasurementConfig, 'bank' | 'pcrs'>,
  now: number,
): AskedTick {
  const nonce = newNonce();
  const wishes = wishesFor(known?.state).map((wish) =>
    isPointless(wish, known, now) ? { ...wish, maxBytes: 1 } : wish,
  );
  const { answerMs: answerWithinMs } = measureTimes;
  const knownPcrDigest = valuesHeld(known, pcrs) ? known.quote.pcrDigest : new Uint8Array();
  const bytes = encodeTick({ seq, nonce, bank, pcrs, wishes, answerWithinMs, knownPcrDigest });
  return { seq, nonce, bytes, wishes, known, previous: newestQuote(host, known) };
}

/** What is quoted may have been configured otherwise since. */
function valuesHeld(known: Remembered | undefined, pcrs: readonly number[]): known is Remembered {
  return known?.pcrValues !== undefined && pcrs.every((pcr) => known.pcrValues?.has(pcr));
}

/** Logs that explain nothing are not sent with every quote: they are read again when they may come to something else. */
function isPointless({ log }: LogWish, known: Remembered | undefined, now: number): boolean {
  if (known === undefined) return false;
  return log === 'ima-list' ? isListUnexplained(known.appraisal) : wereJustRead(known, now);
}

/** Whether long logs explained nothing a moment ago, of a host of which nothing worse could be said. */
function wereJustRead({ appraisal, set, wholeAt }: Remembered, now: number): boolean {
  if (appraisal.verdict === 'trusted' || appraisal.verdict === 'suspect') return false;
  const { first } = measureLimits;
  const long =
    (isListUnexplained(appraisal) && set.stored['ima-list'] > LONG_LIST) ||
    (isBootUnexplained(appraisal) &&
      (['boot-log', 'userspace-log'] as const).some((kind) => set.stored[kind] > first[kind]));
  return long && now - wholeAt < measureTimes.unexplainedMs;
}

/**
 * Of what is remembered and what is on the host's record the quote that its chip made later: either can be the older one,
 * what is remembered after a restart of the server, the record while quotes that changed nothing are not written yet.
 */
export function newestQuote(host: Host | undefined, known: Remembered | undefined): ClockInfo | undefined {
  const written = host?.lastQuote === undefined ? undefined : clockOf(host.lastQuote);
  if (known === undefined || written === undefined) return known?.quote ?? written;
  return compareClocks(known.quote, written).verdict === 'cleared-or-cloned' ? known.quote : written;
}

function clockOf({ clock, resetCount, restartCount, safe }: QuoteRecord): ClockInfo {
  return { clock: BigInt(clock), resetCount, restartCount, safe };
}

const parsedKeys = new WeakMap<Host, TpmPublic>();

/** A host's record is another object whenever anything of it changed. */
export function attestationKeyOf(host: Host): TpmPublic | undefined {
  if (host.akPublic === undefined) return undefined;
  const key = parsedKeys.get(host) ?? parsePublic(Buffer.from(host.akPublic, 'base64'));
  parsedKeys.set(host, key);
  return key;
}

/**
 * Every check of a quote, by the key of this host's record and for this very tick. Does NOT establish what the registers
 * mean; that nonce and deadline are still good is the session's affair.
 * @throws TouchmarkError `quote_*`
 */
export function verifyTick(
  tick: AskedTick,
  evidence: SessionEvidence,
  host: Host,
  ak: TpmPublic,
  { bank, pcrs }: Pick<MeasurementConfig, 'bank' | 'pcrs'>,
): VerifiedQuote {
  const { attest, signature } = evidence;
  const hash = digest('sha256', tick.bytes);
  const extraData = tickExtraDataOfHash(tick.nonce, hash);
  const quote = verifyQuote({ attest, signature, ak, expected: { extraData, selection: { bank, pcrs } } });
  const { pcrValues, hints } = valuesOf(evidence, quote, tick.known);
  return {
    akName: host.akName,
    akPublic: host.akPublic ?? '',
    attest,
    signature,
    asked: { by: 'tick', nonce: base64(tick.nonce), hash: base64(hash) },
    quote,
    pcrValues,
    hints,
  };
}

/** Values that do not fit count for nothing; those that are left out are those of the same digest before. */
function valuesOf(
  { pcrValues }: SessionEvidence,
  quote: QuoteFacts,
  known: Remembered | undefined,
): SentValues {
  if (valuesHeld(known, quote.selection.pcrs) && sameBytes(known.quote.pcrDigest, quote.pcrDigest))
    return { pcrValues: known.pcrValues };
  try {
    return sentValues(pcrValues, quote, known?.pcrValues);
  } catch (error) {
    if (hasCode(error, 'quote_pcr_values')) return {};
    throw error;
  }
}

/** What counters and clock say against a host, held against the newest quote from before it was asked. */
export function clockSuspicions(previous: ClockInfo | undefined, quote: QuoteFacts): Reason[] {
  if (previous === undefined) return [];
  const { verdict, reason } = compareClocks(previous, quote);
  return verdict === 'cleared-or-cloned' ? [{ code: 'cloned-or-cleared', message: reason }] : [];
}

/**
 * Whether evidence can only be judged as before: the same registers of the same boot, nothing new in any log, and the same
 * policy in force. That is what most evidence is.
 */
export function bringsNothing(
  known: Remembered | undefined,
  verified: VerifiedQuote,
  parts: readonly SentLogPart[],
  key: string,
): boolean {
  if (!saysTheSame(known, verified, key)) return false;
  if (!sameBytes(known.quote.pcrDigest, verified.quote.pcrDigest)) return false;
  const still = parts.filter(
    ({ state, data, remaining }) =>
      state === 'unchanged' || (state === 'present' && data.length === 0 && remaining === 0),
  );
  return still.length === parts.length && new Set(parts.map(({ log }) => log)).size === logKinds.length;
}

/**
 * Whether a quote can be answered without reading logs that explain nothing once more: the registers are as they were, or
 * the logs are long and were read a moment ago. What was said of the host under this policy and in this start stays said.
 */
export function repeats(
  known: Remembered | undefined,
  verified: VerifiedQuote,
  key: string,
  now: number,
): boolean {
  if (!saysTheSame(known, verified, key)) return false;
  const same = sameBytes(known.quote.pcrDigest, verified.quote.pcrDigest);
  return (same && isListUnexplained(known.appraisal)) || wereJustRead(known, now);
}

/** The same policy in force, and no resume since. */
function saysTheSame(
  known: Remembered | undefined,
  { akName, quote }: VerifiedQuote,
  key: string,
): known is Remembered {
  return goesOn(known, akName, quote) && known.key === key && known.state.restartCount === quote.restartCount;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}
