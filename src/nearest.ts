/** `; did you mean "x"?` for a slip of the keyboard, or nothing. */
export function nearest(written: string, known: readonly string[]): string {
  let best = '';
  let distance = Math.max(2, Math.floor(written.length / 3)) + 1;
  for (const candidate of known) {
    const found = editDistance(written, candidate);
    if (found < distance) {
      best = candidate;
      distance = found;
    }
  }
  return best === '' ? '' : `; did you mean "${best}"?`;
}

/** Levenshtein distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, replace));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
