import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** A service manager's notify socket, by Python, since Node has no Unix datagrams. Each message comes as it is received. */
export async function notifySocket(
  path: string,
): Promise<{ messages: AsyncIterableIterator<string>; close(): void }> {
  const script = `
import json, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print(json.dumps('bound'), flush=True)
while True:
    print(json.dumps(s.recv(4096).decode()), flush=True)`;
  const child = spawn('python3', ['-c', script, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  const queue = lines[Symbol.asyncIterator]();
  await Promise.race([queue.next(), once(child, 'exit').then(() => Promise.reject(new Error('no socket')))]);
  async function* read(): AsyncGenerator<string> {
    for (let line = await queue.next(); line.done !== true; line = await queue.next()) {
      yield JSON.parse(line.value) as string;
    }
  }
  return { messages: read(), close: () => void child.kill() };
}

export const havePython: boolean = (() => {
  try {
    execFileSync('python3', ['-c', '']);
    return true;
  } catch {
    return false;
  }
})();
