import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, TouchmarkError } from '../../errors.js';
import { ListWithdrawalsResponseSchema, type Withdrawal } from '../../wire/gen/touchmark/deny/v1/deny_pb.js';
import { printable, table } from '../output.js';
import type { Verb } from '../verb.js';
import { idText, json, serverFlags, withServer } from './connect.js';

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
  summary: 'Write what is published: the signed deny feed and one CRL for each X.509 authority.',
  example: 'touchmark-server deny fetch -dir /var/www/deny',
  flags: [
    {
      name: 'dir',
      type: 'string',
      doc: 'The directory; files of the same names are replaced.',
      required: true,
    },
    ...serverFlags,
  ],
  run: (context) =>
    withServer(context, async (api) => {
      const { sequence, feed, crls } = await api.deny.getPublication({});
      const files: [string, Uint8Array | string][] = [
        ['deny-feed.jws', feed],
        ...crls.map(({ authorityId, der }): [string, Uint8Array] => [`${authorityId}.crl`, der]),
      ];
      const directory = context.flags.string('dir');
      for (const [name, content] of files) await write(join(directory, name), content);
      const names = files.map(([name]) => name);
      context.out.result({
        pretty: `Wrote ${names.join(', ')}; sequence ${sequence}`,
        json: { sequence: String(sequence), files: names },
      });
      return 0;
    }),
};

async function write(path: string, content: Uint8Array | string): Promise<void> {
  try {
    await writeFile(path, content);
  } catch (cause) {
    throw new TouchmarkError('file_unreadable', `cannot write ${path}: ${messageOf(cause)}`, { cause });
  }
}

export const denyVerbs: readonly Verb[] = [show, fetch];
