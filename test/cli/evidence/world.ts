import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { tickExtraDataOfHash } from '../../../src/attest/transcript.js';
import { appraise } from '../../../src/measure/appraise/appraise.js';
import type { Evidence } from '../../../src/measure/appraise/contract.js';
import { hashOf } from '../../../src/measure/policy/canonical.js';
import { checkManifest, toManifest } from '../../../src/measure/policy/check.js';
import type {
  MeasurementObject,
  MeasurementPolicy,
  ReferenceSet,
  ResolvedPolicy,
} from '../../../src/measure/policy/model.js';
import { type Lookup, resolvePolicy } from '../../../src/measure/policy/resolve.js';
import { evidenceFiles } from '../../../src/server/api/evidence-files.js';
import type { ArchivedEvidence, EvidenceArchive } from '../../../src/server/measurements/contract.js';
import type { EvidenceRecord, Host } from '../../../src/server/model.js';
import { nameOf } from '../../../src/tpm/name.js';
import { createSoftwareTpm } from '../../fakes/software-tpm.js';
import { allRules, goodHost, goodReferences } from '../../support/appraisal-factory.js';
import { AT, type MadeHost, measure, quotedPcrs } from '../../support/appraisal-host.js';

export const HOST = 'a1'.repeat(32);

/** A policy as the server resolves it: its id is made from what it holds. */
export function publishedPolicy(
  rules: Partial<MeasurementPolicy> = allRules,
  set: ReferenceSet = goodReferences,
): ResolvedPolicy {
  const normal = <T extends MeasurementObject>(object: T) => checkManifest(toManifest(object)) as T;
  const references = normal(set);
  const policy = normal<MeasurementPolicy>({
    ...{ kind: 'MeasurementPolicy', name: 'servers', description: '', mode: 'enforce' },
    ...{ references: [references.name], acceptNext: [] },
    ...rules,
  });
  const lookup = ((kind: string) => ({
    object: kind === 'ReferenceSet' ? references : policy,
    hash: hashOf(kind === 'ReferenceSet' ? references : policy),
  })) as Lookup;
  return resolvePolicy({ object: policy, hash: hashOf(policy) }, lookup).policy;
}

export interface Shown {
  readonly archived: ArchivedEvidence;
  readonly host: Host;
  readonly policy: ResolvedPolicy;
}

/** What a host shows, quoted by a chip, judged and archived as the server does it. */
export async function shownBy(made: MadeHost = goodHost, policy = publishedPolicy()): Promise<Shown> {
  const { evidence: shown } = measure(made);
  const chip = createSoftwareTpm();
  const unique = Buffer.alloc(32, 5);
  const [nonce, hash] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
  const { quote } = shown;
  const { attest, signature } = chip.forge(unique, {
    extraData: tickExtraDataOfHash(nonce, hash),
    pcrDigest: quote.pcrDigest,
    selections: [quote.selection],
  });
  const { verdict, explanation } = appraise(shown, undefined, policy);
  const akPublic = await chip.attestationKey(unique);
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
  const record: EvidenceRecord = {
    ...{ id: '019a00000000-00', hostId: HOST, at: AT, boot: '1-0-x', verdict, policyId: policy.id },
    ...{ akPublic: base64(akPublic), attest: base64(attest), signature: base64(signature) },
    asked: { by: 'tick', nonce: base64(nonce), hash: base64(hash) },
    bank: 'sha256',
    pcrs: quotedPcrs,
    pcrValues: Object.fromEntries(
      [...(shown.pcrValues ?? [])].map(([pcr, value]) => [String(pcr), Buffer.from(value).toString('hex')]),
    ),
    logs: {
      bootLog: length(shown, 'boot-log'),
      userspaceLog: length(shown, 'userspace-log'),
      imaList: length(shown, 'ima-list'),
    },
    absent: {},
    components: explanation.components,
  };
  const host: Host = {
    ...{ id: HOST, name: 'web-1', labels: {}, state: verdict, stateSince: AT, reasons: [], graceEndsAt: 0 },
    eks: [
      {
        ...{
          hash: HOST,
          algorithm: 'p256',
          manufacturer: 'IFX',
          model: 'SLB9672',
          firmware: '15',
          issuer: 'CN=Vendor',
        },
        ...{ anchor: 'Vendor Root', notAfter: 0, deviations: [] },
      },
    ],
    akName: Buffer.from(nameOf(chip.ak(unique).public)).toString('hex'),
    ...{ attestationNumber: 1, enrolledBy: 'uid 0', enrolledAt: AT },
    appraisal: {
      ...{
        verdict,
        since: AT,
        at: AT,
        evidenceId: record.id,
        policyId: policy.id,
        policyName: 'servers',
        group: 'all',
      },
      components: explanation.components,
    },
  };
  return { archived: { record, evidence: shown }, host, policy };
}

function length({ logs }: Evidence, kind: keyof Evidence['logs']): number {
  const part = logs[kind];
  return part.kind === 'bytes' ? part.bytes.length : -1;
}

/** An export on disk, as the verb writes it. */
export async function exportedTo(t: TestContext, { archived, host, policy }: Shown): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'tm-evidence-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  for (const { file, bytes } of evidenceFiles({ archived, host, policy, trustDomain: 'example.org' })) {
    await writeFile(join(directory, file), bytes);
  }
  return directory;
}

/** An archive that holds what it is given, newest last. */
export function fakeArchive(all: readonly ArchivedEvidence[]): EvidenceArchive {
  const of = (hostId: string) => all.filter(({ record }) => record.hostId === hostId).toReversed();
  return {
    latest: async (hostId) => of(hostId)[0],
    get: async (hostId, evidenceId) => of(hostId).find(({ record }) => record.id === evidenceId),
    history: async (hostId, limit) =>
      of(hostId)
        .slice(0, limit)
        .map(({ record }) => record),
  };
}
