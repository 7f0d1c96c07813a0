import { ListWithdrawalsResponseSchema, type Withdrawal } from '../../wire/gen/touchmark/deny/v1/deny_pb.js';
import { printable, table } from '../output.js';
import type { Verb } from '../verb.js';
import { idText, json, serverFlags, withServer } from './connect.js';
import { readPublished, writePublished } from './deny-files.js';

const show: Verb = {
  name: 'deny show',
  summary: 'Show whose identities were taken back, why, and until when they would last by themselves.',
  example: 'touchmark-server deny show',
  flags: serverFlags,
  run: (context) =>
    withServer(context, async (api) => {
      const response = await api.deny.listWithdrawals({});
      const pretty = withdrawalsText(response.withdrawals);
      context.out.result({ pretty, json: json(ListWithdrawalsResponseSchema, response) });
      return 0;
    }),
};

function withdrawalsText(withdrawals: readonly Withdrawal[]): string {
  if (withdrawals.length === 0) return 'Nothing is withdrawn that could still be valid.';
  const rows = withdrawals.map((one) => [
    printable(one.hostName === '' ? idText(one.node) : one.hostName),
    one.withdrawn ? 'withdrawn' : 'recovered',
    timeOf(one.issuedBeforeUnixMs),
    timeOf(one.untilUnixMs),
    printable(one.reasons.map(({ code, message }) => `${code}: ${message}`).join('; ')),
  ]);
  return table(['NODE', 'IS', 'DENIED IF ISSUED BEFORE', 'ALL ENDED AT', 'WHY'], rows);
}

function timeOf(unixMs: bigint): string {
  return new Date(Number(unixMs)).toISOString();
}

const fetch: Verb = {
  name: 'deny fetch',
  summary:
    'Write what is published: the signed deny feed, one CRL for each X.509 authority, and all of them in all.pem.',
  example: 'touchmark-server deny fetch -dir /var/www/deny',
  flags: [
    {
      name: 'dir',
      type: 'string',
      doc: 'The directory; files of the same names are replaced, and CRLs of authorities that have ended removed.',
      required: true,
    },
    ...serverFlags,
  ],
  run: (context) =>
    withServer(context, async (api) => {
      const published = await readPublished(api.deny.getPublication({}, { signal: context.signal }));
      await writePublished(context.flags.string('dir'), published);
      const names = [...published.files.keys()];
      context.out.result({
        pretty: `Wrote ${names.join(', ')}; sequence ${published.sequence}`,
        json: { sequence: String(published.sequence), files: names },
      });
      return 0;
    }),
};

export const denyVerbs: readonly Verb[] = [show, fetch];
