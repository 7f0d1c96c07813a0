import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** What a package installs beside the program, and a checkout has in the same place. */
const ANCHORS = join('data', 'ek-anchors');

/** The folder with the vendors' EK anchors: above this very file, wherever it was compiled to. */
export function vendorAnchorsDir(from: string = import.meta.dirname): string {
  for (let directory = from; ; directory = dirname(directory)) {
    const found = join(directory, ANCHORS);
    if (existsSync(found) || dirname(directory) === directory) return found;
  }
}
