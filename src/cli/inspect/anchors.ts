import { join } from 'node:path';
import { readEkAnchors } from '../../server/node-attestors/anchors.js';
import type { AnchorSet } from '../../tpm/anchors.js';
import type { Flag, FlagValues } from '../verb.js';

const vendorDirectory = join(import.meta.dirname, '..', '..', '..', '..', 'data', 'ek-anchors');

export const anchorFlags: readonly Flag[] = [
  { name: 'anchor', type: 'strings', doc: 'PEM file or directory with further roots and intermediates.' },
  { name: 'noVendorAnchors', type: 'boolean', doc: 'Leave out the vendors that ship with Touchmark.' },
];

export function anchorsOf(flags: FlagValues): Promise<AnchorSet> {
  const config = { vendorAnchors: !flags.boolean('noVendorAnchors'), anchorPaths: flags.strings('anchor') };
  return readEkAnchors(config, vendorDirectory);
}
