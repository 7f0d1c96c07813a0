import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { createChip } from '../../src/agent/measure/chip.js';
import { SessionMeasurement, type TickEvidence } from '../../src/agent/measure/ticks.js';
import { attestationKeyUnique, tickExtraData } from '../../src/attest/transcript.js';
import { systemClock } from '../../src/clock.js';
import { openMeasurements } from '../../src/host/measurements/measurements.js';
import { openTpm } from '../../src/host/open-tpm.js';
import { startSwtpm } from '../../src/host/swtpm.js';
import { silentLogger } from '../../src/log.js';
import { parseBootLog } from '../../src/measure/boot/boot-log.js';
import { replayBootLog } from '../../src/measure/boot/boot-replay.js';
import { parseImaBinary } from '../../src/measure/ima/ima-binary.js';
import { firstMatchingPrefix } from '../../src/measure/ima/ima-replay.js';
import { parseUserspaceLog } from '../../src/measure/userspace/userspace-log.js';
import { replayUserspaceLog } from '../../src/measure/userspace/userspace-replay.js';
import { pcrDigest } from '../../src/tpm/pcr.js';
import { parsePublic } from '../../src/tpm/public.js';
import { verifyQuote } from '../../src/tpm/quote.js';
import { LogKind, TickSchema } from '../../src/wire/gen/touchmark/measure/v1/logs_pb.js';
import { until } from '../fakes/manual-clock.js';
import { startFakeHost } from '../support/fake-host.js';
import { haveSwtpm } from '../support/swtpm.js';

const pcrs = Array.from({ length: 16 }, (_, pcr) => pcr);
const selection = { bank: 'sha256', pcrs } as const;

/** An agent's measuring side over a software TPM, and a server's questions to it. */
async function begin(t: TestContext) {
  const { chip: swtpm, host, measurement } = await startFakeHost(t);
  const log = silentLogger();
  const unique = attestationKeyUnique('example.org', 0);
  const chip = createChip({ unique, log, open: () => openTpm({ tcti: swtpm.tcti, log }) });
  t.after(() => chip[Symbol.asyncDispose]());
  const measurements = openMeasurements(measurement);
  t.after(() => measurements[Symbol.asyncDispose]());
  const answers: TickEvidence[] = [];
  const growths: number[] = [];
  const stream = {
    evidence: (evidence: TickEvidence) => answers.push(evidence),
    logPart: () => assert.fail('nothing was asked for'),
    growth: (entries: number) => growths.push(entries),
  };
  const measuring = new SessionMeasurement({ clock: systemClock, log, chip, measurer: measurements }, stream);
  t.after(() => measuring[Symbol.dispose]());
  const ak = parsePublic(await chip.use((tpm) => tpm.attestationKey(unique)));
  const ask = async (userspace = 0, ima = 0, knownSha256 = new Uint8Array()) => {
    const nonce = randomBytes(32);
    const logs = [
      { log: LogKind.BOOT, knownSha256 },
      { log: LogKind.USERSPACE, offset: BigInt(userspace) },
      { log: LogKind.IMA, offset: BigInt(ima) },
    ];
    const bytes = toBinary(
      TickSchema,
      create(TickSchema, { nonce, pcrBank: 'sha256', pcrs, logs, answerWithinMs: 10_000 }),
    );
    const before = answers.length;
    measuring.tick(bytes);
    await until('answered', () => answers.length > before);
    const evidence = answers[before];
    assert.ok(evidence);
    const { attest, signature } = evidence;
    const extraData = tickExtraData(nonce, bytes);
    return { evidence, quote: verifyQuote({ attest, signature, ak, expected: { extraData, selection } }) };
  };
  return { host, swtpm, growths, ask };
}

/** How many entries of the list the quote covers. */
function covered({ evidence, quote }: Awaited<ReturnType<Awaited<ReturnType<typeof begin>>['ask']>>) {
  const [boot, userspace, ima] = evidence.logs.map(({ data }) => data);
  assert.ok(boot && userspace && ima);
  const firmware = replayBootLog(parseBootLog(boot));
  const systemd = replayUserspaceLog(parseUserspaceLog(userspace), firmware).pcrs;
  const values = new Map([...(firmware.pcrs.get('sha256') ?? []), ...(systemd.get('sha256') ?? [])]);
  for (const pcr of pcrs) if (!values.has(pcr)) values.set(pcr, new Uint8Array(32));
  return firstMatchingPrefix(parseImaBinary(ima), (pcr10) => {
    const digest = pcrDigest('sha256', selection, values.set(10, pcr10));
    return Buffer.compare(digest, quote.pcrDigest) === 0;
  });
}

test('the logs that come with a tick explain its quote, also while files are measured all the time', async (t) => {
  if (!(await haveSwtpm(t))) return;
  const { host, ask } = await begin(t);
  assert.equal(covered(await ask()), 1);
  await host.extendFile('/usr/bin/program', 'first');
  let stop = false;
  const busy = (async () => {
    for (let file = 0; !stop; file += 1) await host.extendFile(`/usr/bin/program-${file}`, String(file));
  })();
  try {
    for (let round = 0; round < 5; round += 1) {
      const answer = await ask();
      const entries = covered(answer);
      assert.ok(entries !== undefined && entries > 1, `${entries} entries`);
    }
  } finally {
    stop = true;
    await busy;
  }
  const settled = await ask();
  assert.equal(covered(settled), host.imaEntries);
});

test('a new file is announced within a second, and only it travels', async (t) => {
  if (!(await haveSwtpm(t))) return;
  const { host, ask, growths } = await begin(t);
  const { evidence } = await ask();
  const sizes = evidence.logs.map(({ data }) => data.length);
  const began = performance.now();
  await host.extendFile('/usr/bin/unknown', 'unknown');
  await until('announced', () => growths.at(-1) === 2);
  const announcedMs = performance.now() - began;
  const next = await ask(sizes[1], sizes[2]);
  t.diagnostic(
    `announced after ${announcedMs.toFixed(0)} ms, evidence after ${(performance.now() - began).toFixed(0)} ms`,
  );
  assert.ok(announcedMs < 1_000);
  assert.deepEqual(
    next.evidence.logs.map(({ state, offset }) => [state, offset]),
    [
      ['present', 0],
      ['unchanged', sizes[1]],
      ['present', sizes[2]],
    ],
  );
  const [record] = [...parseImaBinary(next.evidence.logs[2]?.data ?? new Uint8Array())];
  assert.match(Buffer.from(record?.data ?? []).toString('latin1'), /\/usr\/bin\/unknown\0/);
  assert.equal(next.evidence.pcrValues.length, 16);
});

test('a chip that lost its power leaves the tick without evidence and answers again when it is back', async (t) => {
  if (!(await haveSwtpm(t))) return;
  const { swtpm, ask } = await begin(t);
  const before = await ask();
  process.kill(swtpm.pid, 'SIGKILL');
  await assert.rejects(ask(), /timed out waiting until answered/);
  await using again = await startSwtpm(swtpm.chip, swtpm.directory);
  assert.equal(again.tcti, swtpm.tcti);
  const after = await ask();
  assert.ok(after.quote.resetCount > before.quote.resetCount);
});
