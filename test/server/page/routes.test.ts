import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createLogger } from '../../../src/log.js';
import { eventType } from '../../../src/measure/boot/event-types.js';
import { escapeHtml, html } from '../../../src/server/page/html.js';
import { answerPage } from '../../../src/server/page/routes.js';
import { manualClock } from '../../fakes/manual-clock.js';
import { agileLog, separators, variable } from '../../support/boot-log-factory.js';
import { imaList, record, sigData } from '../../support/ima-list.js';
import { brokenArchive, drift, evidenceOf, fleetOf, hostId, hostOf } from './world.js';

const at = (path: string) => new URL(path, 'http://page.invalid');
const bootLog = agileLog([
  { pcr: 7, type: eventType.efiVariableDriverConfig, data: variable('SecureBoot', '\x01') },
  { pcr: 4, type: eventType.efiAction, data: 'Calling EFI Application from Boot Option' },
  ...separators(),
]);
const hostile = '/tmp/<script>alert(1)</script>';

describe('what is written into a page', () => {
  test('is escaped, in text and in attributes, and lists of parts with it', () => {
    assert.equal(
      html`<a title="${`"'<&>`}">${['<b>', html`<i>ok</i>`]}</a>`.markup,
      '<a title="&quot;&#39;&lt;&amp;&gt;">&lt;b&gt;<i>ok</i></a>',
    );
    assert.equal(html`${undefined}${3}`.markup, '3');
    assert.equal(escapeHtml('a&b'), 'a&amp;b');
    assert.equal(escapeHtml('a\u202eb\u0000\u2028\ud800'), 'a\\u{202e}b\\u{0}\\u{2028}\\u{d800}');
  });
});

describe('the fleet', () => {
  const other = 'cd'.repeat(32);
  const fleet = fleetOf([
    hostOf(),
    hostOf({
      id: other,
      name: '',
      state: 'drifted',
      reasons: [{ code: 'ima_file_unknown', message: hostile }],
    }),
  ]);

  test('counts hosts by state and lists the worst first, with their reasons', async () => {
    const { status, body } = await answerPage(fleet, at('/'));
    assert.equal(status, 200);
    assert.match(body, /<b class="drifted">1<\/b>drifted/);
    assert.ok(body.indexOf(other) < body.indexOf(hostId));
    assert.match(body, /ima_file_unknown/);
    assert.doesNotMatch(body, /<script/);
  });

  test('is narrowed to one state; a word that is no state changes nothing', async () => {
    assert.doesNotMatch(
      (await answerPage(fleet, at('/?state=drifted'))).body,
      new RegExp(`/hosts/${hostId}`),
    );
    assert.match((await answerPage(fleet, at('/?state=%3Cb%3E'))).body, new RegExp(`/hosts/${hostId}`));
    assert.match((await answerPage(fleet, at('/?state=stale'))).body, /No host is stale/);
  });

  test('is told in pages when it is large', async () => {
    const ids = Array.from({ length: 201 }, (_, n) => n.toString(16).padStart(64, '0'));
    const large = fleetOf(ids.map((id) => hostOf({ id, name: '' })));
    const first = await answerPage(large, at('/?state=trusted'));
    const next = /href="(\/\?after=[^"]+)"/.exec(first.body)?.[1]?.replaceAll('&amp;', '&') ?? '';
    assert.match(next, /state=trusted/);
    const second = await answerPage(large, at(next));
    assert.equal(second.body.match(/href="\/hosts\//g)?.length, 1);
    assert.match(second.body, new RegExp(ids[200] ?? ''));
  });

  test('goes on after the place of a host that has left the list meanwhile, not with the first page', async () => {
    const ids = Array.from({ length: 202 }, (_, n) => n.toString(16).padStart(64, '0'));
    const hosts = ids.map((id) => hostOf({ id, name: '' }));
    const first = await answerPage(fleetOf(hosts), at('/?state=trusted'));
    const next = /href="(\/\?after=[^"]+)"/.exec(first.body)?.[1]?.replaceAll('&amp;', '&') ?? '';
    const left = hosts.with(199, hostOf({ id: ids[199] ?? '', name: '', state: 'drifted' }));
    const second = await answerPage(fleetOf(left), at(next));
    assert.deepEqual(
      [...second.body.matchAll(/href="\/hosts\/(\w+)"/g)].map(([, id]) => id),
      ids.slice(200),
    );
    const none = await answerPage(fleetOf(hosts.slice(0, 200)), at(next));
    assert.match(none.body, /No further hosts/);
  });
});

describe('one host', () => {
  const deps = fleetOf(
    [hostOf({ state: 'drifted', appraisal: drift })],
    evidenceOf({ bootLog, ima: Buffer.concat([imaList(1), record('ima-sig', sigData(hostile))]) }),
  );

  test('shows its components with reason, place, value and remedy', async () => {
    const { body } = await answerPage(deps, at(`/hosts/${hostId}`));
    assert.match(body, /runtime<\/td><td><span class="state fail">fail/);
    assert.match(
      body,
      /ima_file_unknown<\/code> the file \/tmp\/&lt;b&gt;miner&lt;\/b&gt; is not a reference \(<a [^>]+>ima-list, entry 2</,
    );
    assert.match(body, /sha256:efefef/);
    assert.match(body, /and 3 more/);
  });

  test('draws the boot as a chain of links, each with what was measured', async () => {
    const { body } = await answerPage(deps, at(`/hosts/${hostId}`));
    const chain = body.slice(body.indexOf('id="chain"'), body.indexOf('Run-time list'));
    assert.match(chain, /Secure Boot<small>PCR 7<\/small>[\s\S]*SecureBoot/);
    assert.match(chain, /Calling EFI Application from Boot Option/);
    assert.match(chain, /<h3>Firmware<span class="part">firmware <span class="state pass">pass/);
  });

  test('leads from a reason to the entry that it names, which is marked', async () => {
    const { body } = await answerPage(deps, at(`/hosts/${hostId}`));
    const [, path = '', row = ''] =
      /href="(\/hosts\/[^"#]+\/runtime\?after=0)#(ima-list-2)"/.exec(body) ?? [];
    const list = (await answerPage(deps, at(path))).body;
    assert.match(
      list,
      new RegExp(`<tr id="${row}" class="marked"><td>2</td><td class="mono"><code[^>]*>ima_file_unknown`),
    );
    assert.equal(list.match(/class="marked"/g)?.length, 1);
  });

  test('of which the archive cannot be read is shown all the same, and the log is told why', async () => {
    const lines: string[] = [];
    const write = (line: string) => void lines.push(line);
    const log = createLogger({ format: 'text', write, clock: manualClock(), journal: false });
    const broken = brokenArchive([hostOf({ state: 'drifted', appraisal: drift })], log);
    for (const path of [`/hosts/${hostId}`, `/hosts/${hostId}/runtime`]) {
      const { status, body } = await answerPage(broken, at(path));
      assert.equal(status, 200);
      assert.match(body, /Some of the kept evidence cannot be read; the server’s log says why/);
      assert.doesNotMatch(body, /secret detail/);
    }
    assert.match(
      (await answerPage(broken, at(`/hosts/${hostId}`))).body,
      /runtime<\/td><td><span class="state fail">/,
    );
    assert.match(lines.join(''), /kept evidence cannot be shown.*secret detail/);
  });

  test('shows the beginning of names that are a megabyte long, at once', async () => {
    const name = Buffer.alloc(1024 * 1024 - 200, 0xe2);
    const ima = Buffer.concat(Array.from({ length: 20 }, () => record('ima-sig', sigData(name, ''))));
    const { body } = await answerPage(
      fleetOf([hostOf()], evidenceOf({ ima })),
      at(`/hosts/${hostId}/runtime`),
    );
    assert.equal(body.match(/class="entry"/g)?.length, 20);
    assert.ok(body.length < 64 * 1024, `${body.length} characters`);
  });

  test('shows the run-time list in pages, and hostile names as text', async () => {
    const { body } = await answerPage(deps, at(`/hosts/${hostId}/runtime`));
    assert.match(body, /&lt;script&gt;alert/);
    assert.doesNotMatch(body, /<script/);
    const long = fleetOf([hostOf()], evidenceOf({ ima: imaList(250) }));
    const first = await answerPage(long, at(`/hosts/${hostId}/runtime`));
    assert.match(first.body, /runtime\?after=200/);
    const second = await answerPage(long, at(`/hosts/${hostId}/runtime?after=200`));
    assert.equal(second.body.match(/class="entry"/g)?.length, 50);
    assert.match(second.body, /runtime\?after=0">Previous entries/);
    assert.doesNotMatch(first.body, /Previous/);
  });

  test('without evidence, logs or policy says so', async () => {
    const { body } = await answerPage(fleetOf([hostOf()]), at(`/hosts/${hostId}`));
    assert.match(body, /This host sent no boot log/);
    assert.match(body, /No policy applies/);
    const broken = fleetOf([hostOf()], evidenceOf({ bootLog: Buffer.from('no log') }));
    const unreadable = (await answerPage(broken, at(`/hosts/${hostId}`))).body;
    assert.match(unreadable, /The boot log of this host cannot be read: the boot log is cut off/);
    assert.doesNotMatch(unreadable, /sent no boot log/);
  });

  test('that is not there is not found, whatever the path says', async () => {
    for (const path of [
      '/hosts/00',
      `/hosts/${'0'.repeat(64)}`,
      '/hosts/..%2f',
      '/etc/passwd',
      `/hosts/${hostId}/x`,
    ])
      assert.equal((await answerPage(deps, at(path))).status, 404, path);
  });
});
