import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The repository's root, wherever the compiled test lies. */
export function repoRoot(): string {
  if (process.env['TOUCHMARK_ROOT']) return process.env['TOUCHMARK_ROOT'];
  let directory = import.meta.dirname;
  while (!existsSync(join(directory, 'biome.json'))) {
    const parent = dirname(directory);
    if (parent === directory) throw new Error('the repository root was not found above the test');
    directory = parent;
  }
  return directory;
}
