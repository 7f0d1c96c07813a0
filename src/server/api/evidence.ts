import { create } from '@bufbuild/protobuf';
import { TouchmarkError } from '../../errors.js';
import type { ResolvedPolicy } from '../../measure/policy/model.js';
import type { TrustDomain } from '../../spiffe/id.js';
import {
  type Evidence,
  type EvidenceSummary,
  EvidenceSummarySchema,
  type ExportEvidenceResponse,
  ExportEvidenceResponseSchema,
  ListEvidenceResponseSchema,
} from '../../wire/gen/touchmark/evidence/v1/evidence_pb.js';
import type { EvidenceArchive } from '../measurements/contract.js';
import type { EvidenceRecord, Host } from '../model.js';
import { evidenceFiles } from './evidence-files.js';
import type { ApiService } from './service.js';

export interface EvidenceApiDeps {
  readonly archive: EvidenceArchive;
  /** A policy as it was at any time, by `ResolvedPolicy.id`. */
  readonly resolved: (policyId: string) => Promise<ResolvedPolicy | undefined>;
  readonly host: (hostId: string) => Host | undefined;
  readonly trustDomain: TrustDomain;
}

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1000;
const PIECE = 256 * 1024;

/** `touchmark.evidence.v1.Evidence`: what hosts showed, for as long as it is kept. */
export function evidenceService(deps: EvidenceApiDeps): ApiService<typeof Evidence> {
  return {
    listEvidence: async ({ hostId, limit }, call) => {
      call.audit({ host_id: checkedId('host_id', hostId) });
      const most = Math.min(limit === 0 ? DEFAULT_LIMIT : limit, MAX_LIMIT);
      const records = await deps.archive.history(hostId, most);
      return create(ListEvidenceResponseSchema, { evidence: records.map(summaryOf) });
    },
    exportEvidence: ({ hostId, evidenceId }, call) => {
      call.audit({ host_id: checkedId('host_id', hostId) });
      if (evidenceId !== '') checkedId('evidence_id', evidenceId);
      return exported(deps, hostId, evidenceId);
    },
  };
}

async function* exported(
  { archive, resolved, host, trustDomain }: EvidenceApiDeps,
  hostId: string,
  evidenceId: string,
): AsyncGenerator<ExportEvidenceResponse> {
  const archived = evidenceId === '' ? await archive.latest(hostId) : await archive.get(hostId, evidenceId);
  if (archived === undefined) {
    const which = evidenceId === '' ? 'no evidence' : `no evidence ${evidenceId}`;
    throw new TouchmarkError('evidence_unknown', `${which} of host ${hostId} is kept`);
  }
  const { policyId } = archived.record;
  const policy = policyId === '' ? undefined : await resolved(policyId);
  for (const { file, bytes } of evidenceFiles({ archived, policy, host: host(hostId), trustDomain })) {
    for (let at = 0; at === 0 || at < bytes.length; at += PIECE) {
      yield create(ExportEvidenceResponseSchema, { file, data: bytes.subarray(at, at + PIECE) });
    }
  }
}

function summaryOf({ id, at, asked, verdict, policyId, boot, components }: EvidenceRecord): EvidenceSummary {
  return create(EvidenceSummarySchema, {
    ...{ id, atUnixMs: BigInt(at), askedBy: asked.by, verdict, policyId, boot },
    components: components.map(({ component, result }) => `${component}=${result}`),
  });
}

/** Both are parts of a key in the datastore: no slash may be in them. */
function checkedId(field: string, id: string): string {
  if (/^[0-9A-Za-z-]{1,128}$/.test(id)) return id;
  throw new TouchmarkError('argument_invalid', `${field}: ${JSON.stringify(id.slice(0, 64))} is not an id`);
}
