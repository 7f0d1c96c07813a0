import { readFile } from 'node:fs/promises';
import { arch, hostname, release } from 'node:os';

/** What names this boot and its kernel. Self-reported: for logs and people, never for a decision about trust. */
export interface BootFacts {
  /** Random for each boot: 8-4-4-4-12 hexadecimal digits. */
  bootId: string;
  kernelRelease: string;
  architecture: string;
  hostname: string;
}

export async function bootFacts(): Promise<BootFacts> {
  const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'latin1')).trim();
  return { bootId, kernelRelease: release(), architecture: arch(), hostname: hostname() };
}
