/** A reference set of what hosts showed. It is handed out, never published by itself: accepting it is an operator's word. */
import { hasCode, messageOf, TouchmarkError } from '../../errors.js';
import { compileGlob } from '../../measure/policy/glob.js';
import type { Registry } from '../contract.js';
import { serialLane } from '../datastores/serial-lane.js';
import type { EvidenceArchive } from '../measurements/contract.js';
import type { Host, HostState } from '../model.js';
import { nameOf } from './brake.js';
import type { Gather } from './gather.js';

export interface HarvestDeps {
  readonly registry: Pick<Registry, 'hosts'>;
  readonly archive: Pick<EvidenceArchive, 'latest'>;
  readonly openGather: () => Gather;
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

export interface Harvest {
  /** JSON in UTF-8. */
  readonly manifest: Uint8Array;
  /** What its reader should know about what is not in it. */
  readonly notes: readonly string[];
  /** Names, or IDs of those without one. */
  readonly hosts: readonly string[];
}

/** @throws TouchmarkError `reference_source_invalid` when no host matches, or there is nothing in what they showed */
export type Harvester = (request: HarvestRequest, signal?: AbortSignal) => Promise<Harvest>;

const MAX_HOSTS = 1000;
const MAX_NOTES = 50;

/** One after the other: what each holds while it is made may be a lot. */
export function createHarvester(deps: HarvestDeps): Harvester {
  const lane = serialLane();
  return (request, signal) => lane.run(() => harvest(deps, request, signal));
}

async function harvest(deps: HarvestDeps, request: HarvestRequest, signal?: AbortSignal): Promise<Harvest> {
  signal?.throwIfAborted();
  const chosen = chosenHosts(deps, request);
  await using gather = deps.openGather();
  const hosts: string[] = [];
  const notes: string[] = [];
  for (const host of chosen) {
    signal?.throwIfAborted();
    const told = await addHost(deps, gather, { name: request.name, source: nameText(host) }, host);
    if (told.shown) hosts.push(nameText(host));
    notes.push(...told.notes.slice(0, MAX_NOTES - notes.length));
  }
  if (hosts.length === 0)
    throw nothing('none of the hosts has shown anything that a quote vouches for', notes);
  const least = Math.max(1, request.shownByAtLeast);
  const manifest = await gather.finish({ name: request.name, source: sourceText(chosen) }, least);
  if (manifest !== undefined) return { manifest, notes, hosts };
  throw nothing(`nothing was shown by ${least} of these hosts; ${hosts.length} have shown something`, notes);
}

/** What cannot be read of one host is told, and keeps the others in. */
async function addHost(
  { archive }: HarvestDeps,
  gather: Gather,
  about: { name: string; source: string },
  { id }: Host,
): Promise<{ shown: boolean; notes: readonly string[] }> {
  const left = (why: string) => ({ shown: false, notes: [`${about.source} ${why}`] });
  try {
    const archived = await archive.latest(id);
    if (archived === undefined) return left('has shown no evidence yet');
    const told = await gather.add(archived.evidence, about);
    return told.shown || told.notes.length > 0 ? told : left('has shown neither boot log nor IMA list');
  } catch (error) {
    if (hasCode(error, 'reference_source_too_large')) throw error;
    return left(`is left out: ${messageOf(error)}`);
  }
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
