/**
 * Speaks the Workload API over a descriptor that somebody else connected (number 9), with nothing but HTTP/2: waits until
 * the file that it is given is there, calls FetchX509SVID once, prints how it ended.
 */
import { existsSync } from 'node:fs';
import { connect } from 'node:http2';
import { Socket } from 'node:net';

function say(line: Record<string, unknown>): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
  process.exit(0);
}

function call(): void {
  const socket = new Socket({ fd: 9 });
  const session = connect('http://localhost', { createConnection: () => socket });
  session.on('error', (error) => say({ closed: error.message }));
  session.on('close', () => say({ closed: 'the connection was closed' }));
  const request = session.request({
    ':method': 'POST',
    ':path': '/SpiffeWorkloadAPI/FetchX509SVID',
    'content-type': 'application/grpc',
    te: 'trailers',
    'workload.spiffe.io': 'true',
  });
  const ended = (headers: Record<string, unknown>) => {
    if (headers['grpc-status'] !== undefined)
      say({
        status: Number(headers['grpc-status']),
        message: decodeURIComponent(String(headers['grpc-message'] ?? '')),
      });
  };
  request.on('response', ended);
  request.on('trailers', ended);
  request.on('error', (error) => say({ closed: error.message }));
  request.on('data', (data: Buffer) => say({ bytes: data.length }));
  request.end(Buffer.alloc(5));
}

const waiting = setInterval(() => {
  if (!existsSync(process.argv[2] ?? '')) return;
  clearInterval(waiting);
  call();
}, 10);
process.stdout.write('{"ready":true}\n');
