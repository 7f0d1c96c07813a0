import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { TouchmarkError } from '../../errors.js';
import { writeFileAtomic } from '../../host/atomic-file.js';
import { createRpcClient } from '../../rpc/client.js';
import {
  JWTSVIDResponseSchema,
  SpiffeWorkloadAPI,
  ValidateJWTSVIDResponseSchema,
  type X509SVIDResponse,
} from '../../wire/gen/spiffe/workload_pb.js';
import { splitDer } from '../../x509/der.js';
import { writePem, writePemCertificates } from '../../x509/pem.js';
import { readCertificate } from '../../x509/read-certificate.js';
import { fields } from '../output.js';
import type { Flag, Verb, VerbContext } from '../verb.js';
import { json } from '../wire-json.js';
import { securityHeader, withAgent, workloadFlags, workloadSocket } from './connect.js';

const timeoutFlag: Flag = { name: 'timeout', type: 'duration', doc: 'How long to wait.', default: 5 };
const audienceFlag: Flag = {
  name: 'audience',
  type: 'strings',
  doc: 'For whom the token is; may hold a,b.',
  required: true,
};

function withApi<T>(
  context: VerbContext,
  use: (api: ReturnType<typeof workloadClient>) => Promise<T>,
): Promise<T> {
  return withAgent(workloadSocket(context), (channel) => use(workloadClient(channel)));
}

function workloadClient(channel: Parameters<Parameters<typeof withAgent>[1]>[0]) {
  return createRpcClient(SpiffeWorkloadAPI, channel);
}

function options({ flags, signal }: VerbContext) {
  return { signal, metadata: securityHeader, deadline: Date.now() + flags.integer('timeout') * 1000 };
}

function audiences({ flags }: VerbContext): string[] {
  return flags
    .strings('audience')
    .flatMap((text) => text.split(','))
    .filter(Boolean);
}

/** What one SVID says, with times in RFC 3339. */
function svidRows(response: X509SVIDResponse) {
  return response.svids.map((svid) => {
    const chain = splitDer(svid.x509Svid);
    const leaf = readCertificate(chain[0] ?? new Uint8Array());
    const time = (seconds: number) => new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
    return {
      spiffeId: svid.spiffeId,
      hint: svid.hint,
      notBefore: time(leaf.notBefore),
      notAfter: time(leaf.notAfter),
      intermediates: chain.length - 1,
      authorities: splitDer(svid.bundle).length,
    };
  });
}

function svidText(row: ReturnType<typeof svidRows>[number]): string {
  return fields([
    ['SPIFFE ID', row.spiffeId],
    ...(row.hint === '' ? [] : [['Hint', row.hint] as const]),
    ['SVID Valid After', row.notBefore],
    ['SVID Valid Until', row.notAfter],
    ['Intermediates', String(row.intermediates)],
    ['CA certificates', String(row.authorities)],
  ]);
}

async function fetchX509(context: VerbContext): Promise<number> {
  const started = Date.now();
  const response = await withApi(context, async (api) => {
    for await (const message of api.fetchX509SVID({}, options(context))) return message;
    throw new TouchmarkError('agent_unreachable', 'the agent ended the stream without an answer');
  });
  const rows = svidRows(response);
  if (context.flags.has('write')) await writeSvids(context, response);
  if (!context.flags.boolean('silent')) {
    const heading = `Received ${rows.length} svid${rows.length === 1 ? '' : 's'} after ${Date.now() - started}ms`;
    const federated = Object.keys(response.federatedBundles).map((name) => `Federates with ${name}`);
    context.out.result({
      pretty: [heading, ...rows.map(svidText), ...federated].join('\n\n'),
      json: { svids: rows, federatedBundles: Object.keys(response.federatedBundles) },
    });
  }
  return 0;
}

/** svid.0.pem, svid.0.key, bundle.0.pem, federated_bundle.0.0.pem: the names that SPIRE's command gives. */
async function writeSvids({ flags, out }: VerbContext, response: X509SVIDResponse): Promise<void> {
  const directory = flags.string('write');
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const write = async (name: string, text: string, mode: number) => {
    await writeFileAtomic(join(directory, name), text, { mode });
    out.note(`Writing ${join(directory, name)}`);
  };
  for (const [index, svid] of response.svids.entries()) {
    await write(`svid.${index}.pem`, writePemCertificates(splitDer(svid.x509Svid)), 0o644);
    await write(`svid.${index}.key`, writePem('PRIVATE KEY', svid.x509SvidKey), 0o600);
    await write(`bundle.${index}.pem`, writePemCertificates(splitDer(svid.bundle)), 0o644);
    for (const [at, der] of Object.values(response.federatedBundles).entries()) {
      await write(`federated_bundle.${index}.${at}.pem`, writePemCertificates(splitDer(der)), 0o644);
    }
  }
}

const fetchFlags: readonly Flag[] = [
  { name: 'silent', type: 'boolean', doc: 'Print nothing.' },
  { name: 'write', type: 'string', doc: 'Directory for the SVIDs, keys and bundles as PEM.' },
  timeoutFlag,
  ...workloadFlags,
];

const fetchVerb: Verb = {
  name: 'api fetch',
  summary: 'Fetch the X.509-SVIDs of the caller.',
  example: 'touchmark-agent api fetch -write /tmp/svid',
  flags: fetchFlags,
  run: fetchX509,
};

const fetchX509Verb: Verb = {
  ...fetchVerb,
  name: 'api fetch x509',
  example: 'touchmark-agent api fetch x509',
};

const fetchJwtVerb: Verb = {
  name: 'api fetch jwt',
  summary: 'Fetch a JWT-SVID for the caller.',
  example: 'touchmark-agent api fetch jwt -audience vault',
  flags: [
    audienceFlag,
    { name: 'spiffeID', type: 'string', doc: 'Only for this identity of the caller.' },
    timeoutFlag,
    ...workloadFlags,
  ],
  run: (context) =>
    withApi(context, async (api) => {
      const request = { audience: audiences(context), spiffeId: context.flags.string('spiffeID') };
      const response = await api.fetchJWTSVID(request, options(context));
      const pretty = response.svids.map(({ spiffeId, svid }) => `token(${spiffeId}):\n\t${svid}`);
      context.out.result({ pretty: pretty.join('\n'), json: json(JWTSVIDResponseSchema, response) });
      return 0;
    }),
};

const validateVerb: Verb = {
  name: 'api validate jwt',
  summary: 'Have a JWT-SVID checked by the agent.',
  example: 'touchmark-agent api validate jwt -audience vault -svid - < token',
  flags: [
    { ...audienceFlag, type: 'string', doc: 'The audience that must be in the token.' },
    { name: 'svid', type: 'string', doc: 'The token, or - for standard input.', required: true },
    timeoutFlag,
    ...workloadFlags,
  ],
  run: (context) =>
    withApi(context, async (api) => {
      const written = context.flags.string('svid');
      const svid = written === '-' ? (await context.readStdin()).trim() : written;
      const audience = context.flags.string('audience');
      const response = await api.validateJWTSVID({ audience, svid }, options(context));
      const claims = JSON.stringify(response.claims ?? {}, null, 2);
      context.out.result({
        pretty: `SVID is valid.\nSPIFFE ID : ${response.spiffeId}\nClaims    : ${claims}`,
        json: json(ValidateJWTSVIDResponseSchema, response),
      });
      return 0;
    }),
};

const watchVerb: Verb = {
  name: 'api watch',
  summary: 'Print the X.509-SVIDs of the caller at every change, until interrupted.',
  example: 'touchmark-agent api watch',
  flags: workloadFlags,
  run: (context) =>
    withApi(context, async (api) => {
      const { signal } = context;
      try {
        for await (const update of api.fetchX509SVID({}, { signal, metadata: securityHeader })) {
          const rows = svidRows(update);
          const heading = `${new Date().toISOString()} received ${rows.length} svid${rows.length === 1 ? '' : 's'}`;
          context.out.result({
            pretty: `${[heading, ...rows.map(svidText)].join('\n\n')}\n`,
            json: { svids: rows },
          });
        }
      } catch (error) {
        if (!signal.aborted) throw error;
      }
      return 0;
    }),
};

export const apiVerbs: readonly Verb[] = [fetchVerb, fetchX509Verb, fetchJwtVerb, validateVerb, watchVerb];
