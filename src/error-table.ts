import { agentErrors } from './errors/agent.js';
import { agentMeasureErrors } from './errors/agent-measure.js';
import { cliErrors } from './errors/cli.js';
import { hostErrors } from './errors/host.js';
import { measureAppraiseErrors } from './errors/measure-appraise.js';
import { measureBootErrors } from './errors/measure-boot.js';
import { measureImaErrors } from './errors/measure-ima.js';
import { measurePolicyErrors } from './errors/measure-policy.js';
import { measureUkiErrors } from './errors/measure-uki.js';
import { serverErrors } from './errors/server.js';
import { denyErrors } from './errors/server-deny.js';
import { serverMeasureErrors } from './errors/server-measure.js';
import { serverRecordErrors } from './errors/server-record.js';
import { spiffeErrors } from './errors/spiffe.js';
import { tpmErrors } from './errors/tpm.js';

export type { RpcCode } from './errors/row.js';

/**
 * Every error code, by layer in src/errors/: one line each, never renamed and never reused.
 * docs/errors.md is generated from this table.
 */
export const errorTable = {
  ...spiffeErrors,
  ...tpmErrors,
  ...measureImaErrors,
  ...measureBootErrors,
  ...measureUkiErrors,
  ...measurePolicyErrors,
  ...measureAppraiseErrors,
  ...hostErrors,
  ...serverErrors,
  ...denyErrors,
  ...serverMeasureErrors,
  ...serverRecordErrors,
  ...agentErrors,
  ...agentMeasureErrors,
  ...cliErrors,
};

export type ErrorCode = keyof typeof errorTable;
