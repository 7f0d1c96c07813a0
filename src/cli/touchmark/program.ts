import type { Program } from '../verb.js';
import { devVerb } from './dev.js';

export const program: Program = {
  name: 'touchmark',
  summary: 'tools around Touchmark: look at keys, quotes and SVIDs; start a throw-away trust domain.',
  verbs: [devVerb],
};
