import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ComponentAppraisal } from '../../../src/measure/appraise/contract.js';
import type { MeasurementPolicy } from '../../../src/measure/policy/model.js';
import type { AppraisalRecord } from '../../../src/server/model.js';
import { answerPage, type PageDeps } from '../../../src/server/page/routes.js';
import { bootEvents, initrd } from '../../support/appraisal-boot.js';
import { goodHost } from '../../support/appraisal-factory.js';
import { agileLog } from '../../support/boot-log-factory.js';
import { record, userspaceLog } from '../../support/userspace-log-factory.js';
import { drift, evidenceOf, fleetOf, hostId, hostOf, judgedHost } from './world.js';

interface Link {
  readonly title: string;
  readonly broken: boolean;
  readonly markup: string;
}

/** The links of a page by their titles. */
async function linksOf(deps: PageDeps): Promise<Record<string, Link>> {
  const { body } = await answerPage(deps, new URL(`/hosts/${hostId}`, 'http://page.invalid'));
  const chain = /<ol class="chain" id="chain">([\s\S]*?)<\/ol>/.exec(body)?.[1] ?? '';
  const items = chain.split('<li class="').filter((one) => /^(broken|whole)"/.test(one));
  return Object.fromEntries(
    items.map((markup) => {
      const title = /<h3>([^<]+)/.exec(markup)?.[1] ?? '';
      return [title, { title, broken: markup.startsWith('broken'), markup }];
    }),
  );
}

async function brokenOf(deps: PageDeps): Promise<string[]> {
  return Object.values(await linksOf(deps)).flatMap(({ title, broken }) => (broken ? [title] : []));
}

const withComponents = (components: readonly ComponentAppraisal[], verdict: AppraisalRecord['verdict']) =>
  fleetOf(
    [hostOf({ appraisal: { ...drift, verdict, components } })],
    evidenceOf({ bootLog: agileLog(bootEvents) }),
  );
const nothing = { reasons: [], more: 0, checked: 0 };

describe('the boot chain', () => {
  test('is whole where every component is good', async () => {
    assert.deepEqual(await brokenOf(judgedHost({})), []);
  });

  test('breaks at the event that nothing names, which is marked and has its number', async () => {
    const at = bootEvents.length;
    const deps = judgedHost({ boot: [...bootEvents, initrd('implanted')] });
    assert.deepEqual(await brokenOf(deps), ['Kernel image and command line']);
    const { markup = '' } = (await linksOf(deps))['Kernel image and command line'] ?? {};
    assert.match(markup, /boot-chain <span class="state fail">fail/);
    assert.match(
      markup,
      new RegExp(
        `boot_event_unknown</code> \\(<a href="/hosts/\\w+#boot-log-${at}">boot-log, entry ${at}</a>`,
      ),
    );
    assert.match(markup, new RegExp(`<tr id="boot-log-${at}" class="marked"><td>${at}</td><td>9</td>`));
    assert.match(markup, /<details open>/);
  });

  test('breaks in user space for a record, wherever it was measured', async () => {
    const records = [...goodHost.userspace, record(12, 'an extension', 'sysext')];
    const deps = judgedHost({ userspace: records });
    assert.deepEqual(await brokenOf(deps), ['User space']);
    const at = records.length - 1;
    assert.match(
      (await linksOf(deps))['User space']?.markup ?? '',
      new RegExp(`id="userspace-log-${at}" class="marked"`),
    );
  });

  test('breaks at what is not known where the policy is enforced, and only there', async () => {
    const unknown = [{ component: 'boot-chain', result: 'unknown', ...nothing } as const];
    assert.deepEqual(await brokenOf(withComponents(unknown, 'drifted')), ['Boot loader and kernel']);
    assert.deepEqual(await brokenOf(withComponents(unknown, 'unmeasured')), []);
  });

  test('breaks at home for a reason that lies in no log of the boot, and for those that are not kept', async () => {
    const kexec = { code: 'kexec', message: 'a second kernel', log: 'ima-list', event: 7, pcr: 10 } as const;
    const chain = { component: 'boot-chain', result: 'fail', ...nothing } as const;
    assert.deepEqual(await brokenOf(withComponents([{ ...chain, reasons: [kexec] }], 'drifted')), [
      'Boot loader and kernel',
    ]);
    const elsewhere = {
      code: 'boot_event_unknown',
      message: '',
      log: 'boot-log',
      event: 1,
      pcr: 12,
    } as const;
    assert.deepEqual(
      await brokenOf(withComponents([{ ...chain, reasons: [elsewhere], more: 4 }], 'drifted')),
      ['Boot loader and kernel', 'Kernel image and command line'],
    );
  });

  test('breaks at a register that the logs do not explain, also when no component was asked and nothing is remembered', async () => {
    const rules = {
      firmwareConfig: undefined,
      bootChain: undefined,
    } as unknown as Partial<MeasurementPolicy>;
    const deps = judgedHost({ tamper: (pcrs) => pcrs.set(6, Buffer.alloc(32, 1)) }, rules);
    assert.deepEqual(await brokenOf(deps), ['Firmware settings']);
    const link = (await linksOf(deps))['Firmware settings'];
    assert.match(link?.markup ?? '', /PCR 6 holds something else than the logs tell/);
  });

  test('says that it is not known whether the registers hold it, where only their digest is', async () => {
    const { body } = await answerPage(
      fleetOf([hostOf()], evidenceOf({ bootLog: agileLog(bootEvents) })),
      new URL(`/hosts/${hostId}`, 'http://page.invalid'),
    );
    assert.match(body, /Whether the registers hold what these logs tell is not known now/);
  });

  test('shows the first 300 events of a link and those that reasons name, and counts the rest', async () => {
    const many = Array.from({ length: 400 }, () => ({ pcr: 6, type: 8, data: 'x' }));
    const reason = {
      code: 'event_digest_unknown',
      message: '',
      log: 'boot-log',
      event: 390,
      pcr: 6,
    } as const;
    const components = [
      { component: 'firmware-config', result: 'fail', ...nothing, reasons: [reason] } as const,
    ];
    const deps = fleetOf(
      [hostOf({ appraisal: { ...drift, components } })],
      evidenceOf({ bootLog: agileLog(many) }),
    );
    const { markup = '' } = (await linksOf(deps))['Firmware settings'] ?? {};
    assert.equal(markup.match(/<tr id="boot-log-/g)?.length, 301);
    assert.match(markup, /id="boot-log-390" class="marked"/);
    assert.match(markup, /and 99 more/);
  });

  test('shows what a record says of itself cut, and without what turns or hides it', async () => {
    const hostile = { ...record(15, `\u202e\u0007${'x'.repeat(10_000)}`, `\u2066${'y'.repeat(10_000)}`) };
    const deps = fleetOf([hostOf()], evidenceOf({ userspaceLog: userspaceLog(hostile) }));
    const { markup = '' } = (await linksOf(deps))['User space'] ?? {};
    assert.match(markup, /\\u\{2066\}y{200,299}…/);
    assert.match(markup, /\\u\{202e\}\\x07x{200,299}…/);
    assert.doesNotMatch(markup, /(?!\n)\p{C}/u);
  });

  test('is drawn from the boot log where the userspace log cannot be read, and says so', async () => {
    const evidence = evidenceOf({ bootLog: agileLog(bootEvents), userspaceLog: Buffer.from('none') });
    const deps = fleetOf([hostOf()], evidence);
    const { body } = await answerPage(deps, new URL(`/hosts/${hostId}`, 'http://page.invalid'));
    assert.match(body, /The userspace log of this host cannot be read: record 0 of the userspace log/);
    assert.match(body, /id="boot-log-0"/);
  });
});
