import type { Program } from '../verb.js';
import { apiVerbs } from './api.js';
import { daemonVerbs } from './daemon.js';
import { explainVerb } from './explain.js';
import { operateVerbs } from './operate.js';

export const program: Program = {
  name: 'touchmark-agent',
  summary: 'proves its host by the TPM and hands workloads their identities.',
  verbs: [...daemonVerbs, explainVerb, ...apiVerbs, ...operateVerbs],
};
