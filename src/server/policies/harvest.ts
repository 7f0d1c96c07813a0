/** A reference set of what hosts showed. It is handed out, never published by itself: accepting it is an operator's word. */
import { TouchmarkError } from '../../errors.js';
import { compileGlob } from '../../measure/policy/glob.js';
import type { ReferenceSet } from '../../measure/policy/model.js';
import {
  type MadeReferences,
  mergeReferences,
  type ReferenceAbout,
} from '../../measure/policy/reference-sources/reference-set.js';
import type { Registry } from '../contract.js';
import type { EvidenceArchive } from '../measurements/contract.js';
import type { Host, HostState } from '../model.js';
import { nameOf } from './brake.js';
import type { Rejudge } from './rejudge.js';

export interface HarvestDeps {
  readonly registry: Pick<Registry, 'hosts'>;
  readonly archive: Pick<EvidenceArchive, 'latest'>;
  readonly openRejudge: () => Rejudge;
}

export interface HarvestRequest {
  readonly name: string;
  /** Label -> glob. */
  readonly labels: Readonly<Record<string, string>>;
  /** Empty: trusted. */
  readonly states: readonly HostState[];
  /** Hosts that must have shown a thing. */
  readonly shownByAtLeast: number;
}

export interface Harvest extends MadeReferences {
  /** Names, or IDs of those without one. */
  readonly hosts: readonly string[];
}

const MAX_HOSTS = 1000;
const MAX_NOTES = 50;

/** @throws TouchmarkError `reference_source_invalid` when no host matches, or none of them showed anything */
export async function harvest(
  deps: HarvestDeps,
  request: HarvestRequest,
  signal?: AbortSignal,
): Promise<Harvest> {
  const hosts = chosenHosts(deps, request);
  const about = { name: request.name, source: sourceText(hosts) };
  await using rejudge = deps.openRejudge();
  const shown: MadeReferences[] = [];
  const from: string[] = [];
  const notes: string[] = [];
  for (const host of hosts) {
    signal?.throwIfAborted();
    const archived = await deps.archive.latest(host.id);
    if (archived === undefined) {
      notes.push(`${nameText(host)} has shown no evidence yet`);
      continue;
    }
    const made = await readShown(rejudge, archived.evidence, { ...about, source: nameText(host) });
    if ('note' in made) notes.push(made.note);
    else {
      shown.push(mergeReferences(about, made.references));
      from.push(nameText(host));
    }
  }
  if (shown.length === 0) throw nothing('none of the hosts has shown logs that can be read', notes);
  const merged = mergeReferences(about, shown);
  const least = Math.max(1, request.shownByAtLeast);
  const set = least === 1 ? merged.set : commonPart(merged.set, shown, least);
  return { set, notes: [...notes, ...merged.notes].slice(0, MAX_NOTES), hosts: from };
}

function chosenHosts({ registry }: HarvestDeps, { labels, states }: HarvestRequest): Host[] {
  const tests = Object.entries(labels).map(([key, pattern]) => ({ key, fits: compileGlob(pattern) }));
  const wanted = states.length === 0 ? ['trusted'] : states;
  const hosts = [...registry.hosts()]
    .filter(({ state }) => wanted.includes(state))
    .filter((host) =>
      tests.every(({ key, fits }) => Object.hasOwn(host.labels, key) && fits(host.labels[key] ?? '')),
    );
  if (hosts.length === 0) throw nothing(`no host that is ${wanted.join(' or ')} has these labels`, []);
  if (hosts.length > MAX_HOSTS) {
    throw new TouchmarkError(
      'reference_source_too_large',
      `${hosts.length} hosts have these labels; at most ${MAX_HOSTS} are looked at`,
    );
  }
  return hosts;
}

async function readShown(
  rejudge: Rejudge,
  evidence: Parameters<Rejudge['references']>[0],
  about: ReferenceAbout,
): Promise<{ references: readonly MadeReferences[] } | { note: string }> {
  try {
    const references = await rejudge.references(evidence, about);
    return references.length > 0
      ? { references }
      : { note: `${about.source} has shown neither boot log nor IMA list` };
  } catch (error) {
    return { note: `${about.source} is left out: ${(error as Error).message}` };
  }
}

/** What so many hosts have in common: what a single one runs is not what the fleet runs. */
function commonPart(set: ReferenceSet, shown: readonly MadeReferences[], least: number): ReferenceSet {
  const keep = <T>(list: (set: ReferenceSet) => readonly T[], keyOf: (item: T) => string): T[] => {
    const counts = new Map<string, number>();
    for (const one of shown) {
      for (const key of new Set(list(one.set).map(keyOf))) counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    return list(set).filter((item) => (counts.get(keyOf(item)) ?? 0) >= least);
  };
  const digestOf = ({ digest }: { digest: string }) => digest;
  return {
    ...set,
    firmware: keep((one) => one.firmware, digestOf),
    firmwareConfig: keep((one) => one.firmwareConfig, digestOf),
    secureBoot: keep((one) => one.secureBoot, digestOf),
    bootChain: keep((one) => one.bootChain, digestOf),
    userspace: keep((one) => one.userspace, digestOf),
    commandLines: keep(
      (one) => one.commandLines,
      (line) => line,
    ),
    files: keep(
      (one) => one.files,
      ({ digest, path }) => `${digest} ${path}`,
    ),
  };
}

function sourceText(hosts: readonly Host[]): string {
  const named = hosts.slice(0, 5).map(nameText);
  return `hosts ${named.join(', ')}${hosts.length > 5 ? ` and ${hosts.length - 5} more` : ''}`.slice(0, 500);
}

function nameText({ id, name }: Host): string {
  return nameOf({ hostId: id, name });
}

function nothing(why: string, notes: readonly string[]): TouchmarkError {
  return new TouchmarkError('reference_source_invalid', [why, ...notes.slice(0, 3)].join('; '));
}
