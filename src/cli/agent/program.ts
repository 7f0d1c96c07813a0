import type { Program } from '../verb.js';
import { apiVerbs } from './api.js';
import { daemonVerbs } from './daemon.js';
import { doctorVerb } from './doctor.js';
import { explainVerb } from './explain.js';
import { operateVerbs } from './operate.js';

export const program: Program = {
  name: 'touchmark-agent',
  summary: 'proves its host by the TPM and hands workloads their identities.',
  verbs: [...daemonVerbs, doctorVerb, explainVerb, ...apiVerbs, ...operateVerbs],
};
