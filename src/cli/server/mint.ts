import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../../host/atomic-file.js';
import { MintJWTSVIDResponseSchema, MintWITSVIDResponseSchema } from '../../wire/gen/spire/server/svid_pb.js';
import { JoinTokenSchema } from '../../wire/gen/spire/types_pb.js';
import { buildCsr } from '../../x509/csr.js';
import { exportPkcs8, generateKey } from '../../x509/keys.js';
import { writePem, writePemCertificates } from '../../x509/pem.js';
import type { Flag, Verb, VerbContext } from '../verb.js';
import { idMessage, json, serverFlags, timeText, withServer } from './connect.js';

const idFlag: Flag = { name: 'spiffeID', type: 'string', doc: 'The identity.', required: true };
const ttlFlag: Flag = { name: 'ttl', type: 'duration', doc: 'Its life; otherwise the configured one.' };

const token: Verb = {
  name: 'token generate',
  summary: 'Make a one-time token by which a host without a TPM joins.',
  example: 'touchmark-server token generate -spiffeID spiffe://example.org/host/web-1',
  flags: [
    { name: 'ttl', type: 'duration', doc: 'How long it may be used.', default: 600 },
    { name: 'spiffeID', type: 'string', doc: 'A second name for the host, to register workloads under.' },
    ...serverFlags,
  ],
  run: (context) =>
    withServer(context, async (api) => {
      const alias = context.flags.string('spiffeID');
      const response = await api.agent.createJoinToken({
        ttl: context.flags.integer('ttl'),
        ...(alias === '' ? {} : { agentId: idMessage(alias) }),
      });
      context.out.result({ pretty: `Token: ${response.value}`, json: json(JoinTokenSchema, response) });
      return 0;
    }),
};

const x509: Verb = {
  name: 'x509 mint',
  summary: 'Sign an X.509-SVID without an entry.',
  example: 'touchmark-server x509 mint -spiffeID spiffe://example.org/ops -ttl 10m -write /root/ops',
  flags: [
    idFlag,
    ttlFlag,
    { name: 'dns', type: 'strings', doc: 'A DNS name in it.' },
    {
      name: 'write',
      type: 'string',
      doc: 'Directory for svid.pem, key.pem and bundle.pem; otherwise they are printed.',
    },
    ...serverFlags,
  ],
  run: (context) => withServer(context, (api) => mintX509(context, api)),
};

async function mintX509(
  context: VerbContext,
  api: Parameters<Parameters<typeof withServer>[1]>[0],
): Promise<number> {
  const { flags, out } = context;
  idMessage(flags.string('spiffeID'));
  const key = await generateKey('ec-p256');
  const csr = buildCsr({ key, uris: [flags.string('spiffeID')], dnsNames: [...flags.strings('dns')] });
  const { svid } = await api.svid.mintX509SVID({ csr, ttl: flags.integer('ttl') });
  const bundle = await api.bundle.getBundle({});
  const files = {
    'svid.pem': writePemCertificates(svid?.certChain ?? []),
    'key.pem': writePem('PRIVATE KEY', exportPkcs8(key)),
    'bundle.pem': writePemCertificates(bundle.x509Authorities.map(({ asn1 }) => asn1)),
  };
  const directory = flags.string('write');
  if (directory !== '') {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    for (const [name, text] of Object.entries(files)) await writeFileAtomic(join(directory, name), text);
    const names = Object.keys(files).map((name) => join(directory, name));
    out.result({ pretty: `Wrote ${names.join(', ')}`, json: { files: names } });
    return 0;
  }
  const pretty = `X509-SVID (until ${timeText(svid?.expiresAt ?? 0)}):\n${files['svid.pem']}\nPrivate key:\n${files['key.pem']}\nRoot CAs:\n${files['bundle.pem']}`;
  out.result({
    pretty,
    json: { x509_svid: files['svid.pem'], private_key: files['key.pem'], root_cas: files['bundle.pem'] },
  });
  return 0;
}

const jwt: Verb = {
  name: 'jwt mint',
  summary: 'Sign a JWT-SVID without an entry.',
  example: 'touchmark-server jwt mint -spiffeID spiffe://example.org/ops -audience vault',
  flags: [
    idFlag,
    ttlFlag,
    { name: 'audience', type: 'strings', doc: 'For whom it is.', required: true },
    { name: 'write', type: 'string', doc: 'File for the token; otherwise it is printed.' },
    ...serverFlags,
  ],
  run: (context) =>
    withServer(context, async (api) => {
      const { flags, out } = context;
      const response = await api.svid.mintJWTSVID({
        id: idMessage(flags.string('spiffeID')),
        audience: [...flags.strings('audience')],
        ttl: flags.integer('ttl'),
      });
      const path = flags.string('write');
      const signed = response.svid?.token ?? '';
      if (path !== '') await writeFileAtomic(path, signed);
      out.result({
        pretty: path === '' ? signed : `Wrote ${path}`,
        json: json(MintJWTSVIDResponseSchema, response),
      });
      return 0;
    }),
};

/** SPIRE has it behind a switch; the server answers that it has none yet. */
const wit: Verb = {
  name: 'wit mint',
  summary: 'Sign a WIT-SVID without an entry; not implemented by the server yet.',
  example: 'touchmark-server wit mint -spiffeID spiffe://example.org/ops',
  flags: [idFlag, ttlFlag, ...serverFlags],
  run: (context) =>
    withServer(context, async (api) => {
      const { flags, out } = context;
      const id = idMessage(flags.string('spiffeID'));
      const response = await api.svid.mintWITSVID({ id, ttl: flags.integer('ttl') });
      out.result({ pretty: response.svid?.token ?? '', json: json(MintWITSVIDResponseSchema, response) });
      return 0;
    }),
};

export const mintVerbs: readonly Verb[] = [token, x509, jwt, wit];
