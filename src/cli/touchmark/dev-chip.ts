import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Disposal } from '../../disposal.js';
import { manufactureSwtpm, startSwtpm } from '../../host/swtpm.js';
import { untilAborted } from '../until-aborted.js';
import type { Verb } from '../verb.js';

/** A running software chip, and the authorities to which its certificates chain. */
export interface DevChip {
  readonly tcti: string;
  readonly pid: number;
  /** PEM file. */
  readonly anchors: string;
}

/** Manufactures a software TPM below `directory` and powers it up; it ends with the stack, its files stay. */
export async function startChip(directory: string, anchors: string, stack: Disposal): Promise<DevChip> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const chip = await manufactureSwtpm({ directory });
  await writeFile(anchors, `${chip.rootPem}\n${chip.issuerPem}`);
  const { tcti, pid } = stack.use(await startSwtpm(chip, directory));
  return { tcti, pid, anchors };
}

/** For hosts without a TPM, where the real daemons shall be tried by hand: never for production. */
export const devChipVerb: Verb = {
  name: 'dev chip',
  summary: 'Make and run a software TPM; one JSON line says how it is reached, a signal ends it.',
  example: 'touchmark dev chip /tmp/chip',
  flags: [],
  args: [{ name: 'DIR', doc: 'Directory for the chip; short, since a socket lies in it. It stays.' }],
  run: async ({ args, out, signal }) => {
    await using stack = new Disposal();
    const directory = resolve(args[0] ?? '');
    const chip = await startChip(directory, join(directory, 'anchors.pem'), stack);
    out.text(`${JSON.stringify(chip)}\n`);
    await untilAborted(signal);
    return 0;
  },
};
