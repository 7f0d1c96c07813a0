import type { Program } from '../verb.js';
import { agentVerbs } from './agent.js';
import { applyVerbs } from './apply.js';
import { auditVerbs } from './audit.js';
import { authorityVerbs } from './authority.js';
import { bundleVerbs } from './bundle.js';
import { daemonVerbs } from './daemon.js';
import { denyVerbs } from './deny.js';
import { entryVerbs } from './entry.js';
import { evidenceVerbs } from './evidence.js';
import { federationVerbs } from './federation.js';
import { hostVerbs } from './host.js';
import { enrolVerbs } from './host-enrol.js';
import { mintVerbs } from './mint.js';
import { operateVerbs } from './operate.js';
import { policyVerbs } from './policy.js';
import { referenceVerbs } from './reference.js';

export const program: Program = {
  name: 'touchmark-server',
  summary: 'verifies hosts by their TPMs and signs the identities of their workloads.',
  verbs: [
    ...daemonVerbs,
    ...hostVerbs,
    ...enrolVerbs,
    ...evidenceVerbs,
    ...denyVerbs,
    ...entryVerbs,
    ...applyVerbs,
    ...policyVerbs,
    ...referenceVerbs,
    ...agentVerbs,
    ...bundleVerbs,
    ...federationVerbs,
    ...mintVerbs,
    ...authorityVerbs,
    ...auditVerbs,
    ...operateVerbs,
  ],
};
