import type { ComponentAppraisal, PcrAppraisal } from '../../measure/appraise/contract.js';
import { type BootEvent, type BootLog, parseBootLog } from '../../measure/boot/boot-log.js';
import { bootEventText } from '../../measure/boot/event-text.js';
import { eventType, eventTypeName } from '../../measure/boot/event-types.js';
import type { ComponentName } from '../../measure/policy/model.js';
import { parseUserspaceLog, type UserspaceEvent } from '../../measure/userspace/userspace-log.js';
import { type Html, html } from './html.js';
import { badge, shortHex } from './layout.js';

export interface ChainView {
  /** Undefined where the host has none. */
  readonly bootLog: Uint8Array | undefined;
  readonly userspaceLog: Uint8Array | undefined;
  readonly bank: string;
  readonly components: readonly ComponentAppraisal[];
  readonly pcrs: readonly PcrAppraisal[];
}

/** The links of the chain, in the order in which they come to run, with the registers that they are measured into. */
const links: readonly {
  readonly title: string;
  readonly pcrs: readonly number[];
  readonly component: ComponentName;
}[] = [
  { title: 'Firmware', pcrs: [0, 2], component: 'firmware' },
  { title: 'Firmware settings', pcrs: [1, 3], component: 'firmware-config' },
  { title: 'Secure Boot', pcrs: [7], component: 'secure-boot' },
  { title: 'Boot loader and kernel', pcrs: [4, 5, 8, 14], component: 'boot-chain' },
  { title: 'Kernel image and command line', pcrs: [9, 11, 12, 13], component: 'command-line' },
  { title: 'User space', pcrs: [15], component: 'userspace' },
];
const EVENTS_SHOWN = 300;

interface Shown {
  readonly pcr: number;
  readonly type: string;
  readonly digest: string;
  readonly text: string;
}

/** The boot, drawn link by link. What the events say of themselves is text that nobody vouches for; the digests count. */
export function chainSection(view: ChainView): Html {
  const events = [...bootEvents(view), ...userspaceEvents(view)];
  if (events.length === 0) return html`<p class="note">This host sent no boot log.</p>`;
  return html`<ol class="chain" id="chain">${links.map((link) => drawn(link, view, events))}</ol>`;
}

function drawn(
  { title, pcrs, component }: (typeof links)[number],
  view: ChainView,
  events: readonly Shown[],
): Html {
  const own = events.filter(({ pcr }) => pcrs.includes(pcr));
  const judged = view.components.find((one) => one.component === component);
  const broken =
    judged?.result === 'fail' || view.pcrs.some((one) => pcrs.includes(one.pcr) && !one.explained);
  const rows = own
    .slice(0, EVENTS_SHOWN)
    .map(
      ({ pcr, type, digest, text }) =>
        html`<tr><td>${pcr}</td><td><code>${type}</code></td><td>${shortHex(digest)}</td><td class="mono">${text}</td></tr>`,
    );
  return html`<li class="${broken ? 'broken' : 'whole'}"><h3>${title}${judged && badge(judged.result)}<small>PCR ${pcrs.join(', ')}</small></h3>
<details><summary>${own.length} measured events</summary><table><tbody>${rows}</tbody></table></details></li>`;
}

function bootEvents({ bootLog, bank }: ChainView): Shown[] {
  const log = readable(() => (bootLog === undefined ? undefined : parseBootLog(bootLog)));
  return (log?.events ?? []).filter(isMeasured).map((event) => ({
    pcr: event.pcr,
    type: eventTypeName(event.type),
    digest: hexOf(event.digests.get(bank)),
    text: bootEventText(event),
  }));
}

function isMeasured({ type }: BootEvent): boolean {
  return type !== eventType.noAction;
}

function userspaceEvents({ userspaceLog, bank }: ChainView): Shown[] {
  const log = readable(() => (userspaceLog === undefined ? undefined : parseUserspaceLog(userspaceLog)));
  return (log?.events ?? []).flatMap((event: UserspaceEvent) =>
    event.pcr === undefined
      ? []
      : [
          {
            pcr: event.pcr,
            type: event.eventType === '' ? event.contentType : event.eventType,
            digest: hexOf(event.digests.get(bank)),
            text: event.text ?? '',
          },
        ],
  );
}

/** A log that cannot be read is shown as none: the component that needs it says why. */
function readable<T extends BootLog | object>(read: () => T | undefined): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

function hexOf(digest: Uint8Array | undefined): string {
  return digest === undefined ? '' : Buffer.from(digest).toString('hex');
}
