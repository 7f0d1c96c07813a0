import { create } from '@bufbuild/protobuf';
import { TouchmarkError } from '../../errors.js';
import type { Bundle as OwnBundle } from '../../spiffe/bundle.js';
import { bundleFromPem, bundleToPem } from '../../spiffe/bundle-certificates.js';
import { readBundleDocument, writeBundleDocument } from '../../spiffe/bundle-document.js';
import { trustDomainFromOperator } from '../../spiffe/id.js';
import { bundleFromWire, bundleToWire } from '../../wire/bundle.js';
import {
  BatchDeleteFederatedBundleResponseSchema,
  BatchSetFederatedBundleResponseSchema,
  CountBundlesResponseSchema,
  ListFederatedBundlesResponseSchema,
} from '../../wire/gen/spire/server/bundle_pb.js';
import { type Bundle, BundleSchema } from '../../wire/gen/spire/types_pb.js';
import { readText } from '../read-file.js';
import type { Flag, Verb, VerbContext } from '../verb.js';
import { allPages, failures, json, type ServerApi, serverFlags, withServer } from './connect.js';
import { count } from './entry-view.js';

const formatFlag: Flag = {
  name: 'format',
  type: 'string',
  doc: 'pem (X.509 authorities) or spiffe (the whole bundle document).',
  default: 'pem',
  choices: ['pem', 'spiffe'],
};
const idFlag: Flag = { name: 'id', type: 'string', doc: 'Trust domain of the bundle.' };

function render(bundle: OwnBundle, format: string): string {
  return format === 'spiffe' ? `${writeBundleDocument(bundle)}\n` : bundleToPem(bundle);
}

const show: Verb = {
  name: 'bundle show',
  summary: 'Print the bundle of this trust domain.',
  example: 'touchmark-server bundle show > /etc/touchmark/bootstrap.pem',
  flags: [formatFlag, ...serverFlags],
  run: (context) =>
    withServer(context, async (api) => {
      const bundle = await api.bundle.getBundle({});
      if (context.out.format === 'json') context.out.result({ pretty: '', json: json(BundleSchema, bundle) });
      else context.out.text(render(bundleFromWire(bundle), context.flags.string('format')));
      return 0;
    }),
};

async function foreign(context: VerbContext, api: ServerApi): Promise<Bundle[]> {
  const id = context.flags.string('id');
  if (id !== '') return [await api.bundle.getFederatedBundle({ trustDomain: trustDomainFromOperator(id) })];
  return allPages(async (pageToken) => {
    const page = await api.bundle.listFederatedBundles({ pageSize: 100, pageToken });
    return [page.bundles, page.nextPageToken];
  });
}

const list: Verb = {
  name: 'bundle list',
  summary: 'Print the bundles of other trust domains.',
  example: 'touchmark-server bundle list -id partner.example',
  flags: [idFlag, formatFlag, ...serverFlags],
  run: (context) =>
    withServer(context, async (api) => {
      const bundles = await foreign(context, api);
      const pretty = bundles.map((bundle) => {
        const head = `# ${bundle.trustDomain}`;
        return `${head}\n${render(bundleFromWire(bundle), context.flags.string('format'))}`;
      });
      const response = create(ListFederatedBundlesResponseSchema, { bundles });
      context.out.result({
        pretty: pretty.join('\n'),
        json: json(ListFederatedBundlesResponseSchema, response),
      });
      return 0;
    }),
};

const countVerb: Verb = {
  name: 'bundle count',
  summary: 'Count bundles, the own one included.',
  example: 'touchmark-server bundle count',
  flags: serverFlags,
  run: (context) =>
    withServer(context, async (api) => {
      const response = await api.bundle.countBundles({});
      context.out.result({
        pretty: count(response.count, 'bundle', 'bundles'),
        json: json(CountBundlesResponseSchema, response),
      });
      return 0;
    }),
};

const set: Verb = {
  name: 'bundle set',
  summary: 'Store the bundle of another trust domain.',
  example: 'touchmark-server bundle set -id partner.example -format spiffe -path partner.json',
  flags: [
    { ...idFlag, required: true },
    formatFlag,
    { name: 'path', type: 'string', doc: 'File with the bundle; otherwise standard input.' },
    ...serverFlags,
  ],
  run: (context) =>
    withServer(context, async (api) => {
      const domain = trustDomainFromOperator(context.flags.string('id'));
      const path = context.flags.string('path');
      const text = await readText(context, path === '' ? '-' : path);
      const bundle =
        context.flags.string('format') === 'spiffe'
          ? readBundleDocument(domain, text)
          : bundleFromPem(domain, text);
      const response = await api.bundle.batchSetFederatedBundle({ bundle: [bundleToWire(bundle)] });
      return finish(
        context,
        failures(response.results),
        'bundle set.',
        json(BatchSetFederatedBundleResponseSchema, response),
      );
    }),
};

const modes: Readonly<Record<string, 0 | 1 | 2>> = { restrict: 0, delete: 1, dissociate: 2 };

const deleteVerb: Verb = {
  name: 'bundle delete',
  summary: 'Delete the bundle of another trust domain.',
  example: 'touchmark-server bundle delete -id partner.example -mode dissociate',
  flags: [
    { ...idFlag, required: true },
    {
      name: 'mode',
      type: 'string',
      doc: 'When entries federate with it: restrict refuses, delete deletes them, dissociate frees them.',
      default: 'restrict',
      choices: Object.keys(modes),
    },
    ...serverFlags,
  ],
  run: (context) =>
    withServer(context, async (api) => {
      const response = await api.bundle.batchDeleteFederatedBundle({
        trustDomains: [trustDomainFromOperator(context.flags.string('id'))],
        mode: modes[context.flags.string('mode')] ?? 0,
      });
      const answer = json(BatchDeleteFederatedBundleResponseSchema, response);
      return finish(context, failures(response.results), 'bundle deleted.', answer);
    }),
};

function finish({ out }: VerbContext, failed: readonly string[], done: string, answer: unknown): number {
  if (failed.length > 0 && out.format === 'pretty')
    throw new TouchmarkError('request_refused', failed.join('; '));
  out.result({ pretty: done, json: answer });
  return failed.length > 0 ? 1 : 0;
}

export const bundleVerbs: readonly Verb[] = [show, list, countVerb, set, deleteVerb];
