/** The calls whose manifests travel in pieces. */
import { TouchmarkError } from '../../errors.js';
import type {
  ApplyObjectsResponse,
  GetObjectRequest,
  Impact,
  MeasureObject,
  SimulateResponse,
} from '../../wire/gen/touchmark/measure/v1/measure_pb.js';
import { ObjectKind } from '../../wire/gen/touchmark/measure/v1/measure_pb.js';
import type { Flag, FlagValues, VerbContext } from '../verb.js';
import type { ServerApi } from './connect.js';

const PIECE = 512 * 1024;
/** A whole fleet may be judged anew meanwhile. */
const LONG_MS = 30 * 60_000;

export const kindWords: Readonly<Record<string, ObjectKind>> = {
  MeasurementPolicy: ObjectKind.MEASUREMENT_POLICY,
  ReferenceSet: ObjectKind.REFERENCE_SET,
  HostGroup: ObjectKind.HOST_GROUP,
};

export function kindWord(kind: ObjectKind): string {
  return Object.entries(kindWords).find(([, value]) => value === kind)?.[0] ?? 'object';
}

export const withdrawalFlags: readonly Flag[] = [
  {
    name: 'allowWithdrawal',
    type: 'integer',
    doc: 'Percent of the good hosts whose trust this may take, in place of measurement.blast_radius.',
  },
  { name: 'force', type: 'boolean', doc: 'The same as -allowWithdrawal 100.' },
];

/** @throws TouchmarkError `flag_invalid` */
export function allowedWithdrawal(flags: FlagValues): { allowWithdrawalPercent?: number } {
  if (flags.boolean('force')) return { allowWithdrawalPercent: 100 };
  if (!flags.has('allowWithdrawal')) return {};
  const percent = flags.integer('allowWithdrawal');
  if (percent < 0 || percent > 100)
    throw new TouchmarkError('flag_invalid', `${percent} is no share in percent`);
  return { allowWithdrawalPercent: percent };
}

export interface ApplyOptions {
  readonly dryRun: boolean;
  readonly allowWithdrawalPercent?: number;
}

export async function applyObjects(
  { signal }: VerbContext,
  api: ServerApi,
  manifests: readonly unknown[],
  options: ApplyOptions,
): Promise<ApplyObjectsResponse> {
  const stream = api.measurement.applyObjects({ signal, deadline: Date.now() + LONG_MS });
  return exchange(stream, manifests, options);
}

export async function simulateObjects(
  { signal }: VerbContext,
  api: ServerApi,
  manifests: readonly unknown[],
): Promise<SimulateResponse> {
  const stream = api.measurement.simulate({ signal, deadline: Date.now() + LONG_MS });
  return exchange(stream, manifests, {});
}

interface PieceStream<R> {
  send(piece: Partial<ApplyOptions> & { manifests: Uint8Array }): Promise<void>;
  closeSend(): void;
  readonly responses: AsyncIterable<R>;
}

/** All pieces out, one answer back. */
async function exchange<R>(
  stream: PieceStream<R>,
  manifests: readonly unknown[],
  options: Partial<ApplyOptions>,
): Promise<R> {
  const bytes = Buffer.from(JSON.stringify(manifests), 'utf8');
  const sending = (async () => {
    for (let at = 0; at < bytes.length; at += PIECE) {
      await stream.send({ ...(at === 0 ? options : {}), manifests: bytes.subarray(at, at + PIECE) });
    }
    stream.closeSend();
  })();
  // A refusal ends the call, and with it the sending; it is told by the answers.
  sending.catch(() => {});
  for await (const answer of stream.responses) return answer;
  throw new TouchmarkError('server_unreachable', 'the server ended the call without an answer');
}

/** One object with its manifest. */
export async function getObject(
  { signal }: VerbContext,
  api: ServerApi,
  request: Pick<GetObjectRequest, 'kind' | 'name' | 'hash'>,
): Promise<{ object: MeasureObject; manifest: unknown }> {
  let object: MeasureObject | undefined;
  const pieces: Uint8Array[] = [];
  for await (const answer of api.measurement.getObject(request, { signal, deadline: Date.now() + LONG_MS })) {
    object ??= answer;
    pieces.push(answer.manifest);
  }
  if (object === undefined) throw new TouchmarkError('server_unreachable', 'the server gave no object');
  return { object, manifest: JSON.parse(Buffer.concat(pieces).toString('utf8')) as unknown };
}

export function withdraws(impact: Impact | undefined): boolean {
  return (impact?.lost ?? 0) > 0;
}
