import { createConnection } from 'node:net';
import { messageOf } from '../../errors.js';
import { type DoctorFinding, found } from './findings.js';
import type { Subject } from './subject.js';

const PATIENCE_MS = 3_000;

/** Whether somebody listens there; who it is, the agent finds out when it connects. */
export async function examineServer({ server }: Subject): Promise<DoctorFinding[]> {
  if (server === undefined) return [];
  const { address, port } = server;
  const began = performance.now();
  try {
    await connects(address, port);
    const ms = Math.round(performance.now() - began);
    return [found('server', `${address} port ${port} answers after ${ms} ms`)];
  } catch (error) {
    return [found('server_unreachable', `${address} port ${port} does not answer: ${messageOf(error)}`)];
  }
}

function connects(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host, port });
    const settle = (error?: Error) => {
      socket.destroy();
      if (error === undefined) resolve();
      else reject(error);
    };
    socket.setTimeout(PATIENCE_MS, () => settle(new Error(`no answer within ${PATIENCE_MS / 1000} s`)));
    socket.once('connect', () => settle());
    socket.once('error', settle);
  });
}
