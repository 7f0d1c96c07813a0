import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';

/** QEMU's machine protocol, as much as is needed. */
export interface Qmp {
  execute(command: string, args?: Record<string, unknown>): Promise<unknown>;
  /** The next event of this name for which `accept` holds; listens from the moment of the call. */
  event(name: string, accept?: (data: Record<string, unknown>) => boolean): Promise<Record<string, unknown>>;
}

interface Message {
  readonly id?: number;
  readonly return?: unknown;
  readonly error?: { readonly desc: string };
  readonly event?: string;
  readonly data?: Record<string, unknown>;
}

interface Waiter {
  accepts(message: Message): boolean;
  resolve(message: Message): void;
  reject(error: Error): void;
}

export async function openQmp(socket: Socket): Promise<Qmp> {
  const waiting = new Set<Waiter>();
  createInterface({ input: socket }).on('line', (line) => {
    const message = JSON.parse(line) as Message;
    for (const waiter of waiting) {
      if (!waiter.accepts(message)) continue;
      waiting.delete(waiter);
      waiter.resolve(message);
    }
  });
  const gone = () => {
    for (const waiter of waiting) waiter.reject(new Error('QEMU has ended'));
    waiting.clear();
  };
  socket.on('error', gone).on('close', gone);
  const next = (accepts: Waiter['accepts']) =>
    new Promise<Message>((resolve, reject) => waiting.add({ accepts, resolve, reject }));
  let last = 0;
  const execute: Qmp['execute'] = async (command, args = {}) => {
    last += 1;
    const id = last;
    const answer = next((message) => message.id === id);
    socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    const { error, return: value } = await answer;
    if (error) throw new Error(`${command}: ${error.desc}`);
    return value;
  };
  await execute('qmp_capabilities');
  return {
    execute,
    event: async (name, accept = () => true) => {
      const found = await next(({ event, data = {} }) => event === name && accept(data));
      return found.data ?? {};
    },
  };
}
