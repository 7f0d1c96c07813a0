import { TouchmarkError } from '../../errors.js';

export interface Page<T> {
  readonly items: T[];
  /** Empty: nothing follows. */
  readonly nextToken: string;
}

export interface PageRequest {
  /** 0: everything at once. */
  readonly size: number;
  /** Key of the last item of the page before, or empty. */
  readonly token: string;
}

const CHUNK = 500;
const MAX_TOKEN = 2048;

/**
 * Walks ordered records in chunks until a page is full, so that neither memory nor the event loop is held by one listing.
 * Looks one item beyond the page: the token is empty exactly when nothing follows.
 * @param list records after a key, in order, at most so many
 * @param pick what is answered for a record, or undefined when the filter leaves it out
 * @throws TouchmarkError `argument_invalid`
 */
export async function readPage<R extends { readonly key: string }, T>(
  request: PageRequest,
  list: (page: { after?: string; limit: number }) => Promise<R[]>,
  pick: (record: R) => T | undefined,
): Promise<Page<T>> {
  checkPageRequest(request);
  const items: T[] = [];
  let last = request.token;
  let after = request.token;
  for (;;) {
    const records = await list(after === '' ? { limit: CHUNK } : { after, limit: CHUNK });
    for (const record of records) {
      const item = pick(record);
      if (item === undefined) continue;
      if (request.size > 0 && items.length === request.size) return { items, nextToken: last };
      items.push(item);
      last = record.key;
    }
    const end = records.at(-1);
    if (end === undefined || records.length < CHUNK) return { items, nextToken: '' };
    after = end.key;
  }
}

function checkPageRequest(request: PageRequest): void {
  if (request.size < 0)
    throw new TouchmarkError('argument_invalid', `page_size ${request.size} is below zero`);
  if (request.token.length > MAX_TOKEN)
    throw new TouchmarkError('argument_invalid', 'page_token is not one that was given out');
}
