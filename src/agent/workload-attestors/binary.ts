import type { FileHandle } from 'node:fs/promises';
import { TouchmarkError } from '../../errors.js';
import type { FileHasher } from '../../host/hash-file.js';
import { executableLinkNow } from '../../host/proc-now.js';
import { foreignFiles } from '../../host/slow-calls.js';
import type { Selector } from '../../spiffe/selector.js';
import type { Workload, WorkloadAttestor } from './contract.js';
import { executableDigest, withExecutable } from './executable.js';

export interface BinaryAttestorDeps {
  readonly hasher: FileHasher;
  /** Whether this host's kernel keeps a list of what it measured. */
  imaPresent(): Promise<boolean>;
  /** `<algorithm>:<hex>` of a file under fs-verity; absent: nobody asks for `binary:verity`. */
  readonly verity?: ((file: FileHandle) => Promise<string | undefined>) | undefined;
}

/**
 * `binary:sha256`, `binary:verity:<algorithm>` and `binary:measured:true`. The last one is a claim that this agent cannot
 * make good: the server signs only when the digest beside it is in its own copy of the list that this boot's quotes
 * cover. None of them says with which arguments, libraries or environment the file runs, nor that this process alone
 * holds what is issued. A program that lies in memory only has no file that could have been measured.
 */
export function binaryAttestor(deps: BinaryAttestorDeps): WorkloadAttestor {
  const { hasher, imaPresent, verity } = deps;
  return {
    name: 'binary',
    async attest(workload) {
      refuseInMemory(workload.pid);
      const [sha256, tree, listed] = await Promise.all([
        executableDigest(workload, hasher),
        verity && treeOf(workload, verity),
        imaPresent(),
      ]);
      return [
        binary(`sha256:${sha256}`),
        ...(tree === undefined ? [] : [binary(`verity:${tree}`)]),
        ...(listed ? [binary('measured:true')] : []),
      ];
    },
  };
}

/** The kernel reads the tree's own descriptor from the file, which can take as long as any look at it. */
function treeOf(workload: Workload, verity: NonNullable<BinaryAttestorDeps['verity']>) {
  return withExecutable(workload, (file) => foreignFiles.run(workload.uid, () => verity(file)));
}

function binary(value: string): Selector {
  return { type: 'binary', value };
}

function refuseInMemory(pid: number): void {
  if (!executableLinkNow(pid).startsWith('/memfd:')) return;
  throw new TouchmarkError('executable_in_memory', `process ${pid} runs a program that lies in memory only`);
}
