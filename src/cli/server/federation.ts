import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { TouchmarkError } from '../../errors.js';
import { bundleFromPem } from '../../spiffe/bundle-certificates.js';
import { readBundleDocument } from '../../spiffe/bundle-document.js';
import { parseSpiffeId, trustDomainFromOperator } from '../../spiffe/id.js';
import { bundleToWire } from '../../wire/bundle.js';
import {
  BatchCreateFederationRelationshipResponseSchema,
  BatchDeleteFederationRelationshipResponseSchema,
  BatchUpdateFederationRelationshipResponseSchema,
  ListFederationRelationshipsResponseSchema,
} from '../../wire/gen/spire/server/trustdomain_pb.js';
import { type FederationRelationship, FederationRelationshipSchema } from '../../wire/gen/spire/types_pb.js';
import { fields } from '../output.js';
import { readText } from '../read-file.js';
import type { Flag, Verb, VerbContext } from '../verb.js';
import { allPages, failures, json, serverFlags, withServer } from './connect.js';
import { count } from './entry-view.js';

const domainFlag: Flag = {
  name: 'trustDomain',
  type: 'string',
  doc: 'The other trust domain.',
  required: true,
};
/** SPIRE's `refresh` and `delete` name it so. */
const idFlag: Flag = { ...domainFlag, name: 'id', aliases: ['trustDomain'] };

const relationshipFlags: readonly Flag[] = [
  domainFlag,
  { name: 'bundleEndpointURL', type: 'string', doc: 'Where it serves its bundle.', required: true },
  {
    name: 'bundleEndpointProfile',
    type: 'string',
    doc: 'How that endpoint proves itself: https_web or https_spiffe.',
    required: true,
    choices: ['https_web', 'https_spiffe'],
  },
  { name: 'endpointSpiffeID', type: 'string', doc: 'Its SPIFFE ID, for https_spiffe.' },
  { name: 'trustDomainBundlePath', type: 'string', doc: 'File with its first bundle.' },
  {
    name: 'trustDomainBundleFormat',
    type: 'string',
    doc: 'Form of that file.',
    default: 'pem',
    choices: ['pem', 'spiffe'],
  },
];

/** @throws TouchmarkError `flag_invalid` when the profile and the endpoint's ID do not fit */
async function relationshipOf(
  context: VerbContext,
): Promise<MessageInitShape<typeof FederationRelationshipSchema>> {
  const { flags } = context;
  const trustDomain = trustDomainFromOperator(flags.string('trustDomain'));
  const spiffe = flags.string('bundleEndpointProfile') === 'https_spiffe';
  if (spiffe !== flags.has('endpointSpiffeID'))
    throw new TouchmarkError('flag_invalid', '-endpointSpiffeID belongs to the profile https_spiffe');
  const path = flags.string('trustDomainBundlePath');
  const text = path === '' ? '' : await readText(context, path);
  const read = flags.string('trustDomainBundleFormat') === 'pem' ? bundleFromPem : readBundleDocument;
  return {
    trustDomain,
    bundleEndpointUrl: flags.string('bundleEndpointURL'),
    bundleEndpointProfile: profileOf(flags.string('endpointSpiffeID')),
    ...(path === '' ? {} : { trustDomainBundle: bundleToWire(read(trustDomain, text)) }),
  };
}

type Profile = NonNullable<MessageInitShape<typeof FederationRelationshipSchema>['bundleEndpointProfile']>;

function profileOf(endpointSpiffeId: string): Profile {
  if (endpointSpiffeId === '') return { case: 'httpsWeb', value: {} };
  return { case: 'httpsSpiffe', value: { endpointSpiffeId: parseSpiffeId(endpointSpiffeId) } };
}

function relationshipText(row: FederationRelationship): string {
  const { bundleEndpointProfile: profile, trustDomainBundle: bundle } = row;
  return fields([
    ['Trust domain', row.trustDomain],
    ['Bundle endpoint URL', row.bundleEndpointUrl],
    [
      'Profile',
      profile.case === 'httpsSpiffe' ? `https_spiffe, ${profile.value.endpointSpiffeId}` : 'https_web',
    ],
    ...(bundle ? [['Bundle sequence', String(bundle.sequenceNumber)] as const] : []),
  ]);
}

function finish({ out }: VerbContext, failed: readonly string[], done: string, answer: unknown): number {
  out.result({ pretty: failed.length > 0 ? '' : done, json: answer });
  for (const line of failed) out.note(line);
  return failed.length > 0 ? 1 : 0;
}

const createVerb: Verb = {
  name: 'federation create',
  summary: 'Follow the bundle of another trust domain.',
  example:
    'touchmark-server federation create -trustDomain partner.example -bundleEndpointURL https://partner.example/bundle -bundleEndpointProfile https_web',
  flags: [...relationshipFlags, ...serverFlags],
  run: (context) =>
    withServer(context, async ({ trustDomain }) => {
      const federationRelationships = [await relationshipOf(context)];
      const response = await trustDomain.batchCreateFederationRelationship({ federationRelationships });
      const answer = json(BatchCreateFederationRelationshipResponseSchema, response);
      return finish(context, failures(response.results), 'Federation relationship created.', answer);
    }),
};

const update: Verb = {
  name: 'federation update',
  summary: 'Change how the bundle of another trust domain is followed.',
  example:
    'touchmark-server federation update -trustDomain partner.example -bundleEndpointURL https://partner.example/bundle -bundleEndpointProfile https_web',
  flags: [...relationshipFlags, ...serverFlags],
  run: (context) =>
    withServer(context, async ({ trustDomain }) => {
      const federationRelationships = [await relationshipOf(context)];
      const response = await trustDomain.batchUpdateFederationRelationship({ federationRelationships });
      const answer = json(BatchUpdateFederationRelationshipResponseSchema, response);
      return finish(context, failures(response.results), 'Federation relationship updated.', answer);
    }),
};

const list: Verb = {
  name: 'federation list',
  summary: 'List the trust domains whose bundles are followed.',
  example: 'touchmark-server federation list',
  flags: serverFlags,
  run: (context) =>
    withServer(context, async ({ trustDomain }) => {
      const federationRelationships = await allPages(async (pageToken) => {
        const page = await trustDomain.listFederationRelationships({ pageSize: 100, pageToken });
        return [page.federationRelationships, page.nextPageToken];
      });
      const heading = `Found ${count(federationRelationships.length, 'federation relationship', 'federation relationships')}`;
      context.out.result({
        pretty: [heading, ...federationRelationships.map(relationshipText)].join('\n\n'),
        json: json(
          ListFederationRelationshipsResponseSchema,
          create(ListFederationRelationshipsResponseSchema, { federationRelationships }),
        ),
      });
      return 0;
    }),
};

const show: Verb = {
  name: 'federation show',
  summary: 'Show how the bundle of one trust domain is followed.',
  example: 'touchmark-server federation show -trustDomain partner.example',
  flags: [domainFlag, ...serverFlags],
  run: (context) =>
    withServer(context, async ({ trustDomain }) => {
      const domain = trustDomainFromOperator(context.flags.string('trustDomain'));
      const found = await trustDomain.getFederationRelationship({ trustDomain: domain });
      context.out.result({
        pretty: relationshipText(found),
        json: json(FederationRelationshipSchema, found),
      });
      return 0;
    }),
};

const refresh: Verb = {
  name: 'federation refresh',
  summary: 'Fetch the bundle of another trust domain now.',
  example: 'touchmark-server federation refresh -id partner.example',
  flags: [idFlag, ...serverFlags],
  run: (context) =>
    withServer(context, async ({ trustDomain }) => {
      await trustDomain.refreshBundle({ trustDomain: trustDomainFromOperator(context.flags.string('id')) });
      context.out.result({ pretty: 'Bundle refreshed.', json: {} });
      return 0;
    }),
};

const deleteVerb: Verb = {
  name: 'federation delete',
  summary: 'Follow the bundle of another trust domain no longer.',
  example: 'touchmark-server federation delete -id partner.example',
  flags: [idFlag, ...serverFlags],
  run: (context) =>
    withServer(context, async ({ trustDomain }) => {
      const trustDomains = [trustDomainFromOperator(context.flags.string('id'))];
      const response = await trustDomain.batchDeleteFederationRelationship({ trustDomains });
      const answer = json(BatchDeleteFederationRelationshipResponseSchema, response);
      return finish(context, failures(response.results), 'Federation relationship deleted.', answer);
    }),
};

export const federationVerbs: readonly Verb[] = [createVerb, list, show, update, refresh, deleteVerb];
