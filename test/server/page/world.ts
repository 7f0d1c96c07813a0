import { TouchmarkError } from '../../../src/errors.js';
import { type Logger, silentLogger } from '../../../src/log.js';
import { appraise } from '../../../src/measure/appraise/appraise.js';
import type { LogPart } from '../../../src/measure/appraise/contract.js';
import type { MeasurementPolicy } from '../../../src/measure/policy/model.js';
import type { ArchivedEvidence } from '../../../src/server/measurements/contract.js';
import type { AppraisalRecord, EvidenceRecord, Host } from '../../../src/server/model.js';
import type { PageDeps } from '../../../src/server/page/routes.js';
import { allRules, goodHost, goodReferences, resolved } from '../../support/appraisal-factory.js';
import { type MadeHost, measure } from '../../support/appraisal-host.js';
import { entryDomain } from '../../support/entries.js';

export const now = Date.UTC(2026, 10, 24, 12);
export const hostId = 'ab'.repeat(32);

export function hostOf(changes: Partial<Host> = {}): Host {
  return {
    id: hostId,
    name: 'edge-1',
    labels: { site: 'north' },
    eks: [],
    state: 'trusted',
    stateSince: now - 60_000,
    reasons: [],
    graceEndsAt: 0,
    akName: '',
    attestationNumber: 1,
    enrolledBy: 'uid 0',
    enrolledAt: now - 3_600_000,
    ...changes,
  };
}

export const drift: AppraisalRecord = {
  verdict: 'drifted',
  since: now - 1000,
  at: now - 1000,
  evidenceId: 'e1',
  policyId: 'cd'.repeat(32),
  policyName: 'edge',
  group: 'all',
  components: [
    { component: 'firmware', result: 'pass', reasons: [], more: 0, checked: 12 },
    {
      component: 'runtime',
      result: 'fail',
      reasons: [
        {
          code: 'ima_file_unknown',
          message: 'the file /tmp/<b>miner</b> is not a reference',
          log: 'ima-list',
          event: 2,
          value: `sha256:${'ef'.repeat(32)}`,
        },
      ],
      more: 3,
      checked: 200,
    },
  ],
};

export function evidenceOf(logs: {
  bootLog?: Uint8Array;
  userspaceLog?: Uint8Array;
  ima?: Uint8Array;
}): ArchivedEvidence {
  const record = {
    ...{ id: 'e1', hostId, at: now, bank: 'sha256', boot: '3-0-1', policyId: 'cd'.repeat(32) },
    ...{ verdict: drift.verdict, components: drift.components },
  } as unknown as EvidenceRecord;
  const part = (bytes: Uint8Array | undefined): LogPart =>
    bytes === undefined ? { kind: 'absent', reason: 'none' } : { kind: 'bytes', offset: 0, bytes };
  const parts = {
    'boot-log': part(logs.bootLog),
    'userspace-log': part(logs.userspaceLog),
    'ima-list': part(logs.ima),
  };
  return { record, evidence: { at: now, logs: parts } as unknown as ArchivedEvidence['evidence'] };
}

/** A fleet as the page sees it. */
export function fleetOf(
  hosts: readonly Host[],
  evidence?: ArchivedEvidence,
  more: Partial<PageDeps> = {},
): PageDeps {
  const byId = new Map(hosts.map((host) => [host.id, host]));
  return {
    log: silentLogger(),
    trustDomain: entryDomain,
    registry: { host: (id) => byId.get(id), hosts: () => byId.values() },
    sessions: { isLive: (id) => !id.includes('/dead') },
    measurements: {
      archive: {
        latest: async () => evidence,
        get: async () => evidence,
        history: async () => (evidence === undefined ? [] : [evidence.record]),
      },
      current: () => undefined,
      lastEvidenceAt: () => now,
    },
    ...more,
  };
}

/** An archive that cannot be read. */
export function brokenArchive(hosts: readonly Host[], log: Logger): PageDeps {
  const deps = fleetOf(hosts);
  const broken = async () => {
    throw new TouchmarkError('archive_incomplete', 'secret detail');
  };
  const archive = { latest: broken, get: broken, history: broken };
  return { ...deps, log, measurements: { ...deps.measurements, archive } };
}

/** A host that measured what it should, but for changes, as it is shown once it was judged and nothing is remembered. */
export function judgedHost(made: Partial<MadeHost>, rules: Partial<MeasurementPolicy> = {}): PageDeps {
  const { evidence, bootLog, userspaceLog: userspace, imaList } = measure({ ...goodHost, ...made });
  const policy = resolved({ ...allRules, ...rules }, [goodReferences]);
  const { verdict, explanation } = appraise(evidence, undefined, policy);
  const appraisal: AppraisalRecord = { ...drift, verdict, components: explanation.components };
  const kept = evidenceOf({ bootLog, userspaceLog: userspace, ima: imaList });
  return fleetOf([hostOf({ appraisal, state: verdict === 'trusted' ? 'trusted' : 'drifted' })], {
    ...kept,
    evidence,
  });
}
