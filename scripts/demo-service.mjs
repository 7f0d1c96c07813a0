// A workload on Node for the demo: mutual TLS with an X.509-SVID that never touches the disk. Needs a build.
//   demo-service.mjs serve ALLOWED-ID          prints {"listening"}, answers each connection with the caller's ID
//   demo-service.mjs call ADDRESS ALLOWED-ID   prints {"answer"}
// The agent is found by SPIFFE_ENDPOINT_SOCKET. The SVID of the stream's latest message is used for new connections.
import { once } from 'node:events';
import { connect, createServer } from 'node:tls';

const load = (path) => import(new URL(`../dist/src/${path}`, import.meta.url));
const [{ unixChannel }, { createRpcClient }, { SpiffeWorkloadAPI }] = await Promise.all(
  ['rpc/channel.js', 'rpc/client.js', 'wire/gen/spiffe/workload_pb.js'].map(load),
);
const [{ parseEndpointAddress }, { bundleFromDer }, { verifyX509Svid }, { parseSpiffeId, trustDomainOf }] =
  await Promise.all(
    ['endpoint-address.js', 'bundle-certificates.js', 'x509-svid.js', 'id.js'].map((file) =>
      load(`spiffe/${file}`),
    ),
  );
const [{ splitDer }, { writePem, writePemCertificates }] = await Promise.all(
  ['x509/der.js', 'x509/pem.js'].map(load),
);

const print = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

/** The updates of the Workload API, each as what node:tls wants and what its peers are verified with. */
async function* identities() {
  const { path } = parseEndpointAddress(process.env.SPIFFE_ENDPOINT_SOCKET ?? '');
  const api = createRpcClient(SpiffeWorkloadAPI, unixChannel(path));
  for await (const { svids } of api.fetchX509SVID({}, { metadata: { 'workload.spiffe.io': 'true' } })) {
    const [svid] = svids;
    yield {
      tls: {
        cert: writePemCertificates(splitDer(svid.x509Svid)),
        key: writePem('PRIVATE KEY', svid.x509SvidKey),
        ca: writePemCertificates(splitDer(svid.bundle)),
        minVersion: 'TLSv1.3',
      },
      bundle: bundleFromDer(trustDomainOf(parseSpiffeId(svid.spiffeId)), svid.bundle),
    };
  }
}

/** Who is at the other end; the chain is verified by SPIFFE's rules once more, as TLS knows nothing of them. */
function peerOf(socket, bundle) {
  const leaf = socket.getPeerX509Certificate();
  return verifyX509Svid([leaf.raw], bundle, Math.floor(Date.now() / 1000)).id;
}

async function serve(allowed) {
  const updates = identities();
  let { tls, bundle } = (await updates.next()).value;
  const server = createServer({ ...tls, requestCert: true, rejectUnauthorized: true }, (socket) => {
    socket.on('error', () => {});
    const peer = peerOf(socket, bundle);
    if (peer !== allowed) return void socket.destroy();
    socket.once('data', () => socket.end(`hello ${peer}\n`));
  });
  server.listen(0, '127.0.0.1', () => print({ listening: `127.0.0.1:${server.address().port}` }));
  for await (const update of updates) {
    ({ tls, bundle } = update);
    server.setSecureContext(tls);
  }
}

async function call(address, allowed) {
  const { tls, bundle } = (await identities().next()).value;
  const [host, port] = address.split(':');
  // The name of a workload is its SPIFFE ID, which is checked below; there is no host name to check.
  const socket = connect({ ...tls, host, port: Number(port), checkServerIdentity: () => undefined });
  await once(socket, 'secureConnect');
  const peer = peerOf(socket, bundle);
  if (peer !== allowed) throw new Error(`${peer} answers, not ${allowed}`);
  socket.end('hello\n');
  let answer = '';
  for await (const chunk of socket) answer += chunk;
  // How a service that refuses its caller ends the connection is a matter of timing.
  if (answer === '') throw new Error(`${peer} ended the connection without an answer`);
  print({ answer: answer.trim() });
  process.exit(0);
}

const [verb, ...args] = process.argv.slice(2);
await (verb === 'serve' ? serve(args[0]) : call(args[0], args[1]));
