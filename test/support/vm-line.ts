import type { Socket } from 'node:net';

/** What a command in the guest said, standard output and error together, and how it ended. */
export interface GuestAnswer {
  readonly code: number;
  readonly output: string;
}

/** Commands over a virtual serial port, one at a time; the other end is vm-images/guest/line-shell. */
export interface GuestLine {
  ask(command: string, ms: number): Promise<GuestAnswer>;
}

export function guestLine(socket: Socket): GuestLine {
  let heard = '';
  let notify = () => {};
  socket.on('data', (text) => {
    heard += String(text);
    notify();
  });
  let gone = false;
  socket.on('close', () => {
    gone = true;
    notify();
  });
  socket.on('error', () => {});
  let count = 0;
  let before: Promise<unknown> = Promise.resolve();

  const answer = (end: RegExp, ms: number, what: string) =>
    new Promise<GuestAnswer>((resolve, reject) => {
      const fail = (why: string) => {
        clearTimeout(timer);
        notify = () => {};
        reject(new Error(`${what}: ${why}; so far: ${heard.slice(-500)}`));
      };
      const timer = setTimeout(() => fail(`no answer within ${ms} ms`), ms);
      notify = () => {
        const found = end.exec(heard);
        if (!found) return gone ? fail('the machine has ended') : undefined;
        clearTimeout(timer);
        notify = () => {};
        const output = heard.slice(0, found.index);
        heard = heard.slice(found.index + found[0].length);
        resolve({ output, code: Number(found[1]) });
      };
      notify();
    });

  return {
    ask(command, ms) {
      const turn = before.then(() => {
        count += 1;
        const id = `${process.pid}.${count}`;
        // What a command that came too late still says belongs to nobody.
        heard = '';
        socket.write(`${id} ${oneLine(command)}\n`);
        return answer(
          new RegExp(`\\r?\\n==${id.replace('.', '\\.')} (\\d+)==\\r?\\n`),
          ms,
          command.slice(0, 100),
        );
      });
      before = turn.catch(() => {});
      return turn;
    },
  };
}

function oneLine(command: string): string {
  if (!command.includes('\n')) return command;
  return `eval "$(echo ${Buffer.from(command).toString('base64')} | base64 -d)"`;
}
