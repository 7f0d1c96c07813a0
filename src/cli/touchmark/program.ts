import { offlineVerbs } from '../evidence/verbs.js';
import { inspectBootLog } from '../inspect/boot-log.js';
import { inspectCrl, inspectDenyFeed } from '../inspect/deny.js';
import { inspectEk } from '../inspect/ek.js';
import { inspectImaLog } from '../inspect/ima-log.js';
import { inspectQuote } from '../inspect/quote.js';
import { inspectBundle, inspectSvid } from '../inspect/svid.js';
import { inspectTpm } from '../inspect/tpm.js';
import { inspectUki } from '../inspect/uki.js';
import { inspectUserspaceLog } from '../inspect/userspace-log.js';
import type { Program } from '../verb.js';
import { devVerb } from './dev.js';
import { devChipVerbs } from './dev-chip.js';

export const program: Program = {
  name: 'touchmark',
  summary: 'tools around Touchmark: look at keys, quotes and SVIDs; start a throw-away trust domain.',
  verbs: [
    inspectEk,
    inspectQuote,
    inspectSvid,
    inspectBundle,
    inspectTpm,
    inspectImaLog,
    inspectBootLog,
    inspectUserspaceLog,
    inspectUki,
    inspectCrl,
    inspectDenyFeed,
    ...offlineVerbs('touchmark'),
    devVerb,
    ...devChipVerbs,
  ],
};
