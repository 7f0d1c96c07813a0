/** The operators' page in Debian's Chromium: what a person sees, and that the browser had nothing to complain of. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { type Browser, chromium, type Locator, type Page } from 'playwright-core';
import { silentLogger } from '../../src/log.js';
import type { Host } from '../../src/server/model.js';
import { listenForPage } from '../../src/server/page/listener.js';
import { answerPage, type PageDeps } from '../../src/server/page/routes.js';
import { drift, evidenceOf, fleetOf, hostId, hostOf, judgedHost } from '../server/page/world.js';
import { bootEvents, image, initrd } from '../support/appraisal-boot.js';
import { goodHost } from '../support/appraisal-factory.js';
import { file } from '../support/appraisal-host.js';
import { agileLog, separators, variable } from '../support/boot-log-factory.js';
import { imaList, record, sigData } from '../support/ima-list.js';

const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
];
const bootLog = agileLog([
  { pcr: 0, type: 8, data: 'firmware 2.17.1' },
  { pcr: 7, type: 0x80000001, data: variable('SecureBoot', '\x01') },
  { pcr: 4, type: 0x80000007, data: 'Calling EFI Application from Boot Option' },
  ...separators(),
]);

const chromiumPath = '/usr/bin/chromium';

/** Skips visibly without a browser; in CI that is a failure. */
function hasBrowser(t: TestContext): boolean {
  if (existsSync(chromiumPath)) return true;
  const reason = 'there is no Chromium: run scripts/test interop';
  if (process.env['CI'] === 'true') throw new Error(reason);
  t.skip(reason);
  return false;
}

async function open(
  t: TestContext,
  deps: PageDeps,
): Promise<{ page: Page; base: string; complaints: string[] }> {
  const listener = await listenForPage({
    config: { kind: 'loopback', host: '127.0.0.1', port: 0 },
    ...{ log: silentLogger(), identity: { keyPem: '', chainPem: '' }, mayLook: () => true },
    answer: (url) => answerPage(deps, url),
  });
  t.after(() => listener[Symbol.asyncDispose]());
  const browser: Browser = await chromium.launch({ executablePath: chromiumPath, args: flags });
  t.after(() => browser.close());
  const page = await browser.newPage({ viewport: { width: 1100, height: 1400 } });
  const complaints: string[] = [];
  page.on('console', (message) => complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(error.message));
  const base = `http://127.0.0.1:${listener.port}`;
  page.on('request', (request) => {
    if (!request.url().startsWith(base)) complaints.push(`asks for ${request.url()}`);
  });
  return { page, base, complaints };
}

// biome-ignore lint/performance/useDomNodeTextContent: what is rendered counts, not what is in the document
const seen = (locator: Locator) => locator.innerText();

const styleOf = (page: Page, selector: string, property: string): Promise<unknown> =>
  page.evaluate(`getComputedStyle(document.querySelector(${JSON.stringify(selector)})).${property}`);

const drifted: Host = hostOf({
  state: 'drifted',
  appraisal: drift,
  reasons: [{ code: 'ima_file_unknown', message: 'a file that nobody accepted was run' }],
});

test('an operator finds the drifted host, reads why, and looks at its boot and its files', async (t) => {
  if (!hasBrowser(t)) return;
  const ima = Buffer.concat([imaList(5), record('ima-sig', sigData('/tmp/<img src=x onerror=alert(1)>'))]);
  const healthy = hostOf({ id: 'cd'.repeat(32), name: 'edge-2' });
  const { page, base, complaints } = await open(t, fleetOf([healthy, drifted], evidenceOf({ bootLog, ima })));
  await page.goto(`${base}/`);
  assert.equal(await seen(page.locator('#hosts tbody tr').first().locator('.state')), 'drifted');
  await page.getByRole('link', { name: 'edge-1' }).click();
  assert.match(await seen(page.locator('h1')), /edge-1\s+drifted/);
  assert.match(await seen(page.locator('#components')), /runtime\s+fail[\s\S]*ima_file_unknown/);
  const link = page.locator('#chain > li').filter({ hasText: 'Secure Boot' });
  const events = link.locator('table');
  assert.equal(await events.isVisible(), false);
  await link.locator('summary').click();
  assert.equal(await events.isVisible(), true);
  assert.match(await seen(events), /EV_EFI_VARIABLE_DRIVER_CONFIG[\s\S]*SecureBoot/);
  assert.equal(await styleOf(page, 'h1 .state', 'color'), 'rgb(207, 34, 46)', 'the style sheet is in force');
  await page.getByRole('link', { name: /entries/ }).click();
  assert.match(await seen(page.locator('#runtime')), /<img src=x onerror=alert\(1\)>/);
  assert.deepEqual(complaints, []);
});

test('a broken link stands open, and a reason leads to the event and to the file that it names', async (t) => {
  if (!hasBrowser(t)) return;
  const extra = [image('bootkit'), initrd('implanted')];
  const ima = [...goodHost.ima, file('/tmp/miner')];
  const { page, base, complaints } = await open(t, judgedHost({ boot: [...bootEvents, ...extra], ima }));
  await page.goto(`${base}/hosts/${hostId}`);
  const broken = page.locator('#chain > li.broken');
  assert.equal(await broken.count(), 2);
  const marked = page.locator('#chain tr.marked');
  assert.equal(await marked.count(), 2);
  assert.match(await seen(marked.last()), /boot_event_unknown/);
  assert.equal(await page.locator('#chain > li.whole table').first().isVisible(), false);
  assert.equal(await styleOf(page, '#components th', 'whiteSpace'), 'nowrap');
  const event = `boot-log, entry ${bootEvents.length}`;
  await page.locator('#components').getByRole('link', { name: event }).first().click();
  assert.equal(await page.locator('tr:target').first().isVisible(), true);
  if (process.env['TOUCHMARK_SCREENSHOT'])
    await page.screenshot({ path: process.env['TOUCHMARK_SCREENSHOT'], fullPage: true });
  await page
    .locator('#components')
    .getByRole('link', { name: /^ima-list/ })
    .first()
    .click();
  assert.match(await seen(page.locator('tr:target')), /file_unknown\s+\/tmp\/miner/);
  assert.deepEqual(complaints, []);
});

test('nothing moves sideways on a narrow screen', async (t) => {
  if (!hasBrowser(t)) return;
  const { page, base, complaints } = await open(t, fleetOf([drifted], evidenceOf({ bootLog })));
  await page.setViewportSize({ width: 380, height: 800 });
  await page.goto(`${base}/hosts/${hostId}`);
  const wider = await page.evaluate('document.documentElement.scrollWidth > window.innerWidth');
  assert.equal(wider, false);
  assert.deepEqual(complaints, []);
});
