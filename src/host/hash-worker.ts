import { Worker } from 'node:worker_threads';

export interface HashRequest {
  id: number;
  fd: number;
  maxBytes: number;
}

export type HashAnswer = { id: number } & ({ sha256: string } | { tooLarge: true } | { error: string });

/**
 * A thread that reads and hashes descriptors. Reading stays off libuv's pool too: a file on a file system that somebody else
 * serves (FUSE, NFS) can hang for ever, and then this thread hangs alone.
 */
export function startHashWorker(): Worker {
  // The function is sent as text so that a bundle of one file needs no second one: it may use nothing from outside itself.
  const worker = new Worker(`(${serve.toString()})()`, {
    eval: true,
    resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4 },
  });
  worker.unref();
  return worker;
}

function serve(): void {
  const { readSync } = process.getBuiltinModule('node:fs');
  const { createHash } = process.getBuiltinModule('node:crypto');
  const { parentPort } = process.getBuiltinModule('node:worker_threads');
  const buffer = Buffer.alloc(262_144);
  const digest = (fd: number, maxBytes: number) => {
    const hash = createHash('sha256');
    for (let at = 0; ; ) {
      const count = readSync(fd, buffer, 0, buffer.length, at);
      if (count === 0) return { sha256: hash.digest('hex') };
      at += count;
      if (at > maxBytes) return { tooLarge: true as const };
      hash.update(buffer.subarray(0, count));
    }
  };
  parentPort?.on('message', ({ id, fd, maxBytes }: HashRequest) => {
    try {
      parentPort.postMessage({ id, ...digest(fd, maxBytes) });
    } catch (error) {
      parentPort.postMessage({ id, error: String(error) });
    }
  });
}
