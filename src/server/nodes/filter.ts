import { TouchmarkError } from '../../errors.js';
import { formatSelector } from '../../spiffe/selector.js';
import type {
  CountAgentsRequest_Filter,
  ListAgentsRequest_Filter,
} from '../../wire/gen/spire/server/agent_pb.js';
import { setMatcher } from '../api/set-match.js';
import { selectorTexts } from '../entries/filter.js';
import type { Node } from '../model.js';

type Filter = CountAgentsRequest_Filter | ListAgentsRequest_Filter;
type Test = (node: Node) => boolean;

/**
 * Reads the filter of ListAgents and CountAgents; all of its parts must hold.
 * @throws TouchmarkError `argument_invalid`, naming the part
 */
export function agentFilter(filter: Filter | undefined): Test {
  if (filter === undefined) return () => true;
  const tests: Test[] = [];
  const { byAttestationType, bySelectorMatch, byBanned, byCanReattest, byExpiresBefore } = filter;
  if (byAttestationType !== '') tests.push((node) => node.attestationType === byAttestationType);
  if (bySelectorMatch !== undefined) {
    const field = 'filter.by_selector_match';
    const matches = setMatcher(field, selectorTexts(field, bySelectorMatch.selectors), bySelectorMatch.match);
    tests.push((node) => matches(node.selectors.map(formatSelector)));
  }
  if (byBanned !== undefined) tests.push((node) => node.banned === byBanned);
  if (byCanReattest !== undefined) tests.push((node) => node.canReattest === byCanReattest);
  if (byExpiresBefore !== '') {
    const limit = parseGoTime('filter.by_expires_before', byExpiresBefore);
    tests.push((node) => node.svidExpiresAt < limit);
  }
  return (node) => tests.every((test) => test(node));
}

/**
 * `2006-01-02 15:04:05 -0700 -07`, as SPIRE's command line writes it: the zone stands there twice.
 * @returns Unix seconds
 */
export function parseGoTime(field: string, text: string): number {
  const match = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) ([+-]\d\d)(\d\d) (?:[+-]\d\d(?:\d\d)?|[A-Z]{1,5})$/.exec(
    text,
  );
  const time = match === null ? Number.NaN : Date.parse(`${match[1]}T${match[2]}${match[3]}:${match[4]}`);
  if (Number.isNaN(time)) {
    const shown = JSON.stringify(text.slice(0, 60));
    throw new TouchmarkError(
      'argument_invalid',
      `${field}: ${shown} is not like 2006-01-02 15:04:05 -0700 -07`,
    );
  }
  return Math.floor(time / 1000);
}
