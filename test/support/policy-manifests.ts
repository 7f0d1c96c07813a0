/** Manifests of measurement objects, as people write them, for tests to change. */

export const digestOf = (byte: number): string => `sha256:${byte.toString(16).padStart(2, '0').repeat(32)}`;

export function policyManifest(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    kind: 'MeasurementPolicy',
    name: 'uki-fleet',
    references: ['uki'],
    bootChain: {},
    runtime: { rules: { commandLine: ['ima_policy=tcb'] } },
    ...changes,
  };
}

export function setManifest(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    kind: 'ReferenceSet',
    name: 'uki',
    bootChain: [{ digest: digestOf(1), label: 'shim' }],
    files: [{ digest: digestOf(2), path: '/usr/bin/true' }],
    ...changes,
  };
}

export function groupManifest(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return { kind: 'HostGroup', name: 'all', policy: 'uki-fleet', ...changes };
}
