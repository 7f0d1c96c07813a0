/** Work of many users, taken one after the other. Each user's turn comes round, however much the others have waiting. */
export class FairQueue<T> {
  readonly #mostOfOne: number;
  /** In the order of their turns; nobody is in it without work. */
  readonly #waiting = new Map<number, T[]>();

  constructor(mostOfOne: number) {
    this.#mostOfOne = mostOfOne;
  }

  /** @returns false when this user has too much waiting already */
  add(user: number, work: T): boolean {
    const mine = this.#waiting.get(user) ?? [];
    if (mine.length >= this.#mostOfOne) return false;
    mine.push(work);
    this.#waiting.set(user, mine);
    return true;
  }

  next(): T | undefined {
    for (const [user, mine] of this.#waiting) {
      const work = mine.shift();
      this.#waiting.delete(user);
      if (mine.length > 0) this.#waiting.set(user, mine);
      return work;
    }
    return undefined;
  }
}
