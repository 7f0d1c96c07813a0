import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { hasCode } from '../../src/errors.js';
import {
  cloneSwtpm,
  type ManufactureOptions,
  manufactureSwtpm,
  type Swtpm,
  type SwtpmChip,
  startSwtpm,
} from '../../src/host/swtpm.js';

/** A running chip in a temporary directory, with the anchors of its EK certificates. */
export interface TestSwtpm extends Swtpm {
  readonly chip: SwtpmChip;
  readonly rootPem: string;
  readonly issuerPem: string;
  readonly directory: string;
}

interface Shared {
  directory: string;
  chip: SwtpmChip;
}

/** One EK authority and one manufactured chip per process, made when first wanted. */
let shared: Promise<Shared> | undefined;

function sharedChip(): Promise<Shared> {
  shared ??= (async () => {
    const directory = await mkdtemp(join(tmpdir(), 'tm-chip-'));
    const remove = () => rm(directory, { recursive: true, force: true });
    process.once('beforeExit', remove);
    try {
      return { directory, chip: await manufactureSwtpm({ directory, banks: ['sha1', 'sha256'] }) };
    } catch (error) {
      await remove();
      throw error;
    }
  })();
  return shared;
}

/** Starts a copy of this process's chip: the same keys each time, about 30 ms. */
export async function startCopy(): Promise<TestSwtpm> {
  const { chip } = await sharedChip();
  return startIn((directory) => cloneSwtpm(chip, directory));
}

/** Manufactures a chip with keys of its own, certified by this process's EK authority: about 700 ms. */
export async function startDistinct(
  options: Omit<ManufactureOptions, 'directory' | 'authority'> = {},
): Promise<TestSwtpm> {
  const { directory: first } = await sharedChip();
  const authority = join(first, 'authority');
  return startIn((directory) => manufactureSwtpm({ banks: ['sha256'], ...options, directory, authority }));
}

/** Starts any state again, for example after a power cut. */
export async function startIn(prepare: (directory: string) => Promise<SwtpmChip>): Promise<TestSwtpm> {
  const directory = await mkdtemp(join(tmpdir(), 'tm-'));
  const remove = () => rm(directory, { recursive: true, force: true });
  try {
    const chip = await prepare(directory);
    const running = await startSwtpm(chip, directory);
    const dispose = async () => {
      await running.dispose();
      await remove();
    };
    const { rootPem, issuerPem } = chip;
    return { ...running, chip, directory, rootPem, issuerPem, dispose, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Skips visibly where swtpm is not installed; in CI a skip is a failure. Returns whether the test may go on. */
export async function haveSwtpm(t: TestContext): Promise<boolean> {
  try {
    await sharedChip();
    return true;
  } catch (error) {
    if (!hasCode(error, 'swtpm_missing') || process.env['CI'] === 'true') throw error;
    t.skip(error.message);
    return false;
  }
}
