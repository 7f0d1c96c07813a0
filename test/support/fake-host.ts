import type { TestContext } from 'node:test';
import {
  createMeasuredHost,
  type MeasuredHost,
  type MeasuredHostOptions,
} from '../../src/host/swtpm/measured-host.js';
import { startCopy, type TestSwtpm } from './swtpm.js';

export interface FakeHost {
  readonly chip: TestSwtpm;
  readonly host: MeasuredHost;
  /** The agent's `measurement` settings for it. */
  readonly measurement: { readonly securityfs: string; readonly userspaceLog: string };
}

/** A chip that was just powered up, with logs that explain its PCRs; gone at the end of the test. Ask `haveSwtpm` first. */
export async function startFakeHost(
  t: Pick<TestContext, 'after'>,
  options: Omit<MeasuredHostOptions, 'dir' | 'tcti'> = {},
  start: () => Promise<TestSwtpm> = startCopy,
): Promise<FakeHost> {
  const chip = await start();
  t.after(() => chip.dispose());
  const host = await createMeasuredHost({ dir: chip.directory, tcti: chip.tcti, ...options });
  t.after(() => host[Symbol.asyncDispose]());
  const { securityfs, userspaceLogPath: userspaceLog } = host;
  return { chip, host, measurement: { securityfs, userspaceLog } };
}
