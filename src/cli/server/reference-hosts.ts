import { TouchmarkError } from '../../errors.js';
import { checkManifest } from '../../measure/policy/check.js';
import type { MadeReferences, ReferenceAbout } from '../../measure/policy/reference-sources/reference-set.js';
import { UsageError } from '../parse.js';
import type { Flag, VerbContext } from '../verb.js';
import { serverFlags, withServer } from './connect.js';
import { stateOf } from './host-view.js';

export const hostsFlags: readonly Flag[] = [
  {
    name: 'state',
    type: 'strings',
    doc: 'hosts: only hosts in this state, once for each; without it trusted and unmeasured ones.',
  },
  {
    name: 'shownBy',
    type: 'integer',
    doc: 'hosts: take over what at least so many of them showed.',
    default: 1,
  },
  ...serverFlags,
];

const DEADLINE_MS = 10 * 60_000;

/** What the hosts that a selector names have shown. @param selector `label=glob,…`, or `all` */
export function hostsReferences(
  context: VerbContext,
  about: ReferenceAbout,
  selector: string,
): Promise<MadeReferences> {
  const labels = labelsOf(selector);
  const { flags, signal } = context;
  const given = flags.strings('state');
  const states = (given.length > 0 ? given : ['trusted', 'unmeasured']).map((word) => {
    const state = stateOf(word);
    if (state === undefined) throw new UsageError(`-state ${word} is no state of a host`);
    return state;
  });
  return withServer(context, async ({ measurement }) => {
    const request = { labels, states, name: about.name, shownByAtLeast: flags.integer('shownBy') };
    const pieces: Uint8Array[] = [];
    const notes: string[] = [];
    for await (const answer of measurement.referenceFromHosts(request, {
      signal,
      deadline: Date.now() + DEADLINE_MS,
    })) {
      pieces.push(answer.manifest);
      notes.push(...answer.notes);
      if (answer.hosts.length > 0) notes.push(`made of what ${answer.hosts.join(', ')} showed`);
    }
    const set = checkManifest(JSON.parse(Buffer.concat(pieces).toString('utf8')));
    if (set.kind === 'ReferenceSet') return { set, notes };
    throw new TouchmarkError('wire_invalid', `the server sent a ${set.kind} instead of a ReferenceSet`);
  });
}

function labelsOf(selector: string): Record<string, string> {
  if (selector === 'all') return {};
  const pairs = selector.split(',').map((part) => part.split('='));
  if (pairs.every((pair) => pair.length === 2 && pair.every((text) => text !== '')))
    return Object.fromEntries(pairs);
  throw new UsageError(`${JSON.stringify(selector)} is neither \`all\` nor label=glob,label=glob`);
}
