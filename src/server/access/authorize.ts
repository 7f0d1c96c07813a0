import type { Role } from '../../config/server-config.js';
import { TouchmarkError } from '../../errors.js';
import { authorizeTable, type Rule } from './authorize-table.js';

/** What is known of a caller before its method is looked at. */
export interface Standing {
  readonly unix: boolean;
  readonly role: Role | undefined;
  /** Its SVID names an agent; whether that agent is in force is for `authorize` to ask. */
  readonly agent: boolean;
  readonly downstream: boolean;
  /** The SVID was issued under an authority that is tainted. */
  readonly tainted: boolean;
  /** The SVID was taken back from the host that held it. */
  readonly withdrawn: boolean;
  /** Why the certificate that it presented is not believed. */
  readonly refusal: TouchmarkError | undefined;
}

/** @returns `as-agent`: allowed if the node of this SVID is in force, which must be checked now */
export type Decision = 'allowed' | 'as-agent';

/** @param path `/package.Service/Method` */
export function ruleOf(path: string): Rule | undefined {
  const [, service = '', method = ''] = path.split('/');
  const methods = Object.hasOwn(authorizeTable, service) ? authorizeTable[service] : undefined;
  return methods !== undefined && Object.hasOwn(methods, method) ? methods[method] : undefined;
}

/**
 * Decides by the table alone.
 * @throws TouchmarkError `permission_denied`, or the reason why the presented certificate is not believed
 */
export function authorize(path: string, standing: Standing): Decision {
  const rule = ruleOf(path);
  if (rule === undefined) throw denied(path, 'nobody may call it');
  if (rule.any === true) return 'allowed';
  if (standing.refusal !== undefined) throw refused(path, standing.refusal);
  if (standing.tainted && rule.tainted !== true)
    throw denied(path, 'its SVID is from a tainted authority; it has to renew it');
  if (rule.agent === true && standing.agent) return 'as-agent';
  if (standing.withdrawn) {
    throw new TouchmarkError('svid_withdrawn', `the caller may not call ${path}: its SVID was withdrawn`);
  }
  if (rule.downstream === true && standing.downstream) return 'allowed';
  if (hasRole(rule, standing)) return 'allowed';
  throw denied(path, `it needs to be ${describeRule(rule)}`);
}

/** Whether a caller counts as an operator for this method; an agent that is an operator too is treated as the agent. */
function hasRole(rule: Rule, standing: Standing): boolean {
  if (rule.unixOnly === true && !standing.unix) return false;
  return standing.role !== undefined && rule.roles?.includes(standing.role) === true;
}

function describeRule(rule: Rule): string {
  const kinds = [
    ...(rule.agent === true ? ['an agent'] : []),
    ...(rule.downstream === true ? ['a downstream server'] : []),
    ...(rule.roles ?? []),
  ];
  return `${kinds.join(' or ')}${rule.unixOnly === true ? ' on the Unix socket' : ''}`;
}

/** The agent's own reasons (expired) are told as such; others become a denial. */
function refused(path: string, refusal: TouchmarkError): TouchmarkError {
  if (refusal.code === 'agent_expired') return refusal;
  return new TouchmarkError('permission_denied', `the caller may not call ${path}: ${refusal.message}`, {
    cause: refusal,
  });
}

function denied(path: string, why: string): TouchmarkError {
  return new TouchmarkError('permission_denied', `the caller may not call ${path}: ${why}`);
}
