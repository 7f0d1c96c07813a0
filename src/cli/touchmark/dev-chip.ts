import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Disposal } from '../../disposal.js';
import { createMeasuredHost, measureFile } from '../../host/swtpm/measured-host.js';
import { manufactureSwtpm, startSwtpm } from '../../host/swtpm.js';
import { digest } from '../../tpm/algorithms.js';
import { readInput, readText } from '../read-file.js';
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

/** The chip of a host whose boot and run-time are played by this machine: logs below `directory` that its PCRs agree with. */
export async function startMeasuredChip(
  directory: string,
  anchors: string,
  stack: Disposal,
): Promise<MeasuredChip> {
  const chip = await startChip(directory, anchors, stack);
  const host = stack.use(await createMeasuredHost({ dir: directory, tcti: chip.tcti }));
  const measured = { ...chip, securityfs: host.securityfs, userspaceLog: host.userspaceLogPath };
  await writeFile(join(directory, CHIP_FILE), JSON.stringify(measured));
  return measured;
}

export interface MeasuredChip extends DevChip {
  readonly securityfs: string;
  readonly userspaceLog: string;
}

/** Lies beside the chip's state, so that `dev measure` finds it. */
const CHIP_FILE = 'chip.json';
const MAX_PROGRAM = 512 * 1024 * 1024;

/** For hosts without a TPM, where the real daemons shall be tried by hand: never for production. */
const devChipVerb: Verb = {
  name: 'dev chip',
  summary: 'Make and run a software TPM; one JSON line says how it is reached, a signal ends it.',
  example: 'touchmark dev chip /tmp/chip --measured',
  flags: [
    {
      name: 'measured',
      type: 'boolean',
      doc: 'Play a boot with firmware, UKI and IMA: logs that an agent can be pointed at, in agreement with the chip.',
    },
  ],
  args: [{ name: 'DIR', doc: 'Directory for the chip; short, since a socket lies in it. It stays.' }],
  run: async ({ args, flags, out, signal }) => {
    await using stack = new Disposal();
    const directory = resolve(args[0] ?? '');
    const start = flags.boolean('measured') ? startMeasuredChip : startChip;
    const chip = await start(directory, join(directory, 'anchors.pem'), stack);
    out.text(`${JSON.stringify(chip)}\n`);
    await untilAborted(signal);
    return 0;
  },
};

/** What a kernel with IMA does by itself. */
const devMeasureVerb: Verb = {
  name: 'dev measure',
  summary: 'Play the kernel of a made host: measure a file as if it were run for the first time.',
  example: 'touchmark dev measure /tmp/chip /tmp/unknown-program',
  flags: [],
  args: [
    { name: 'DIR', doc: 'Directory that was given to dev chip --measured, or `tpm` below that of dev.' },
    { name: 'FILE', doc: 'The file; its path goes into the list as it is given here.' },
  ],
  run: async (context) => {
    const [directory = '', file = ''] = context.args;
    const dir = resolve(directory);
    const { tcti } = JSON.parse(await readText(context, join(dir, CHIP_FILE))) as MeasuredChip;
    await measureFile({ dir, tcti }, file, digest('sha256', await readInput(file, MAX_PROGRAM)));
    return 0;
  },
};

export const devChipVerbs: readonly Verb[] = [devChipVerb, devMeasureVerb];
