import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runtimeSection } from '../../../src/server/page/runtime.js';
import { imaList } from '../../support/ima-list.js';

const entries = 30_000;
const list = imaList(entries);

test('a page far behind in a long list is cut while other work goes on', async () => {
  let turns = 0;
  let open = true;
  const work = () => {
    turns++;
    if (open) setImmediate(work);
  };
  setImmediate(work);
  const { markup } = await runtimeSection({ hostId: 'h', list, after: entries - 250, reasons: [] });
  open = false;
  assert.ok(turns >= 5, `${turns} turns of the loop`);
  assert.match(markup, /^<table id="runtime">.*<\/thead>\n<tbody><tr id="ima-list-29751"/);
  assert.equal(markup.match(/<tr id=/g)?.length, 200);
  assert.match(markup, /runtime\?after=29550">Previous entries.*runtime\?after=29950">Next entries/);
});

test('the last page has no next one, and behind it there is nothing', async () => {
  const last = await runtimeSection({ hostId: 'h', list, after: entries - 200, reasons: [] });
  assert.doesNotMatch(last.markup, /Next entries/);
  const none = await runtimeSection({ hostId: 'h', list, after: entries, reasons: [] });
  assert.match(none.markup, /No further entries/);
});
