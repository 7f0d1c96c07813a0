import { create } from '@bufbuild/protobuf';
import { canonicalSelectors } from '../spiffe/entry.js';
import type { Selector } from '../spiffe/selector.js';
import { SelectorSchema, type Selector as WireSelector } from './gen/spire/types_pb.js';
import { atMost, invalidField } from './invalid.js';

/** Far above what an attestor yields; bounds the cost of matching. */
const MAX_SELECTORS = 500;

export function selectorToWire({ type, value }: Selector): WireSelector {
  return create(SelectorSchema, { type, value });
}

/** In canonical order, without repetition. @throws TouchmarkError `wire_invalid` */
export function selectorsFromWire(selectors: readonly WireSelector[], field: string): Selector[] {
  atMost(field, selectors, MAX_SELECTORS);
  return canonicalSelectors(selectors.map((selector, at) => selectorFromWire(selector, `${field}[${at}]`)));
}

function selectorFromWire({ type, value }: WireSelector, field: string): Selector {
  if (type === '' || value === '') throw invalidField(field, 'its type or value is empty');
  // The written form would not be read back as the same selector.
  if (type.includes(':'))
    throw invalidField(field, `its type ${JSON.stringify(type.slice(0, 100))} has a colon`);
  return { type, value };
}
