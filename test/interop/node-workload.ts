/**
 * A workload in Node.js with nothing but node:tls: its key and certificates come from the Workload API.
 *
 *   node-workload serve ALLOWED-ID           mutual TLS on a port of its own, answers with the caller's ID
 *   node-workload call PORT ALLOWED-ID       mutual TLS, prints what the server said
 */
import { connect, createServer, type PeerCertificate, type TLSSocket } from 'node:tls';
import { unixChannel } from '../../src/rpc/channel.js';
import { createRpcClient } from '../../src/rpc/client.js';
import { SpiffeWorkloadAPI } from '../../src/wire/gen/spiffe/workload_pb.js';
import { splitDer } from '../../src/x509/der.js';
import { writePem, writePemCertificates } from '../../src/x509/pem.js';

interface Credentials {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

async function credentials(): Promise<Credentials> {
  const socket = (process.env['SPIFFE_ENDPOINT_SOCKET'] ?? '').replace('unix://', '');
  const channel = unixChannel(socket);
  try {
    const api = createRpcClient(SpiffeWorkloadAPI, channel);
    for await (const { svids } of api.fetchX509SVID({}, { metadata: { 'workload.spiffe.io': 'true' } })) {
      const [svid] = svids;
      if (svid === undefined) break;
      return {
        key: writePem('PRIVATE KEY', svid.x509SvidKey),
        cert: writePemCertificates(splitDer(svid.x509Svid)),
        ca: writePemCertificates(splitDer(svid.bundle)),
      };
    }
    throw new Error('no SVID');
  } finally {
    channel.close();
  }
}

/** Peers are known by their SPIFFE ID: host names say nothing here. */
function idOf(certificate: PeerCertificate): string {
  return (certificate.subjectaltname ?? '').replace(/^URI:/, '');
}

function say(line: Record<string, string>): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function serve(allowed: string): Promise<void> {
  const options = {
    ...(await credentials()),
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2' as const,
  };
  const server = createServer(options, (socket: TLSSocket) => {
    const id = idOf(socket.getPeerCertificate());
    socket.on('error', () => {});
    if (id !== allowed) {
      say({ refused: id });
      socket.destroy();
      return;
    }
    socket.once('data', () => socket.end(`hello ${id}\n`));
  });
  server.on('tlsClientError', (error) => say({ refused: error.message }));
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    say({ listening: typeof address === 'object' && address ? `127.0.0.1:${address.port}` : '' });
  });
}

async function call(address: string, allowed: string): Promise<void> {
  const [host = '', port = ''] = address.split(':');
  const options = {
    ...(await credentials()),
    host,
    port: Number(port),
    checkServerIdentity: () => undefined,
  };
  const socket = connect(options, () => {
    const id = idOf(socket.getPeerCertificate());
    if (id !== allowed) {
      say({ error: `the server is ${id}` });
      socket.destroy();
      return;
    }
    socket.write('hello\n');
  });
  let answer = '';
  socket.on('data', (data) => {
    answer += data.toString();
  });
  socket.on('error', (error) => say({ error: error.message }));
  socket.on('close', () => {
    if (answer !== '') say({ answer: answer.trim() });
    process.exitCode = answer === '' ? 1 : 0;
  });
}

const [verb, ...args] = process.argv.slice(2);
if (verb === 'serve') await serve(args[0] ?? '');
else await call(args[0] ?? '', args[1] ?? '');
