import { hash } from 'node:crypto';
import { eventType } from '../../src/measure/boot/event-types.js';
import type { ResolvedPolicy } from '../../src/measure/policy/model.js';
import { allRules, goodHost, goodReferences, resolved } from '../support/appraisal-factory.js';
import { type MadeHost, measure } from '../support/appraisal-host.js';
import { genuine } from './chip-world.js';
import { type MeasuredHost, measuredHost } from './measured-host.js';
import type { SoftwareTpm } from './software-tpm.js';

/** Every register that the real judge looks at. */
export const realPcrs: readonly number[] = [...Array(16).keys()];

/** A host whose logs are those of firmware, stub, systemd and kernel: for the real judge. */
export function realHost(chip: SoftwareTpm = genuine(), made: MadeHost = goodHost): MeasuredHost {
  const sha = (data: string | Uint8Array) => hash('sha256', Buffer.from(data), 'buffer');
  return measuredHost(chip, (host) => {
    const { bootLog, userspaceLog, imaList, entries } = measure(made);
    Object.assign(host, { bootLog, userspaceLog, imaList });
    for (const { pcr, type, data = '', measured = data } of made.boot) {
      if (type !== eventType.noAction) chip.extend('sha256', pcr, sha(measured));
    }
    for (const { pcr, digests } of made.userspace) {
      chip.extend('sha256', pcr, Buffer.from(digests[0]?.digest ?? '', 'hex'));
    }
    for (const { pcr, data } of entries)
      chip.extend('sha256', pcr, data ? sha(data) : Buffer.alloc(32, 0xff));
  });
}

/** That host is good by all of it. */
export function realPolicy(): ResolvedPolicy {
  return resolved(allRules, [goodReferences]);
}
