import { TouchmarkError } from '../../errors.js';
import type { Entry } from '../../spiffe/entry.js';
import { formatSelector } from '../../spiffe/selector.js';
import type {
  CountEntriesRequest_Filter,
  ListEntriesRequest_Filter,
} from '../../wire/gen/spire/server/entry_pb.js';
import type { Selector as WireSelector } from '../../wire/gen/spire/types_pb.js';
import { spiffeIdFromWire, trustDomainFromWire } from '../../wire/id.js';
import { setMatcher } from '../api/set-match.js';

type Filter = CountEntriesRequest_Filter | ListEntriesRequest_Filter;
type Test = (entry: Entry) => boolean;

/**
 * Reads the filter of ListEntries and CountEntries; all of its parts must hold.
 * @throws TouchmarkError `argument_invalid`, naming the part
 */
export function entryFilter(filter: Filter | undefined): Test {
  if (filter === undefined) return () => true;
  const tests: Test[] = [];
  const { bySpiffeId, byParentId, bySelectors, byFederatesWith, byHint, byDownstream } = filter;
  if (bySpiffeId !== undefined) {
    const id = spiffeIdFromWire(bySpiffeId, 'filter.by_spiffe_id');
    tests.push((entry) => entry.spiffeId === id);
  }
  if (byParentId !== undefined) {
    const id = spiffeIdFromWire(byParentId, 'filter.by_parent_id');
    tests.push((entry) => entry.parentId === id);
  }
  if (bySelectors !== undefined) {
    const wanted = selectorTexts('filter.by_selectors', bySelectors.selectors);
    const matches = setMatcher('filter.by_selectors', wanted, bySelectors.match);
    tests.push((entry) => matches(entry.selectors.map(formatSelector)));
  }
  if (byFederatesWith !== undefined) {
    const field = 'filter.by_federates_with';
    const wanted = byFederatesWith.trustDomains.map((name) => trustDomainFromWire(name, field));
    const matches = setMatcher(field, wanted, byFederatesWith.match);
    tests.push((entry) => matches(entry.federatesWith));
  }
  if (byHint !== undefined) tests.push((entry) => entry.hint === byHint);
  if (byDownstream !== undefined) tests.push((entry) => entry.downstream === byDownstream);
  return (entry) => tests.every((test) => test(entry));
}

export function selectorTexts(field: string, selectors: readonly WireSelector[]): string[] {
  return selectors.map((selector) => {
    if (selector.type === '' || selector.type.includes(':') || selector.value === '') {
      throw new TouchmarkError('argument_invalid', `${field}: a selector lacks its type or its value`);
    }
    return formatSelector(selector);
  });
}
