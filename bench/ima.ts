// An IMA list of 100 000 entries parsed and replayed, against bare SHA-256 of the same bytes: node dist/bench/ima.js
import { createHash } from 'node:crypto';
import { parseImaBinary } from '../src/measure/ima/ima-binary.js';
import { findingsOf } from '../src/measure/ima/ima-findings.js';
import { imaReplay } from '../src/measure/ima/ima-replay.js';
import { imaList } from '../test/support/ima-list.js';

const list = imaList(100_000);

function milliseconds(task: () => void): number {
  const begin = process.hrtime.bigint();
  task();
  return Number(process.hrtime.bigint() - begin) / 1e6;
}

function replay(check: boolean): void {
  const sha256 = imaReplay('sha256');
  for (const record of parseImaBinary(list)) {
    sha256.extend(record);
    if (check) findingsOf(record);
  }
}

for (let round = 0; round < 3; round++) {
  const bare = milliseconds(() => createHash('sha256').update(list).digest());
  const plain = milliseconds(() => replay(false));
  const full = milliseconds(() => replay(true));
  process.stdout.write(
    `${list.length} bytes: bare SHA-256 ${bare.toFixed(0)} ms; parse + replay ${plain.toFixed(0)} ms ` +
      `(${(plain / bare).toFixed(1)} times); with SHA-1 and every entry read ${full.toFixed(0)} ms\n`,
  );
}
