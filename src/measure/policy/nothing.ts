/** Rules that would pass whatever a host shows, or have nothing to compare with: both look checked and are not. */
import { commandLineLookup } from '../appraise/command-line-lookup.js';
import { fileLookup } from '../appraise/file-lookup.js';
import { userspaceLookup } from '../appraise/userspace-lookup.js';
import { measuringTypeNames } from '../boot/event-types.js';
import type { CommandLineRule, MeasurementPolicy, RuntimeRule, SecureBootRule } from './model.js';
import type { ManifestProblem } from './problem.js';

type Path = readonly (string | number)[];

/** Words with which a command line hands the host over; a rule that minds none of them minds nothing. */
const harmfulWords = [
  ...['init=/bin/sh', 'rdinit=/bin/sh', 'single', 'rd.break', 'systemd.unit=rescue.target'],
  ...['systemd.debug_shell', 'ima_appraise=off', 'ima=off', 'module.sig_enforce=0', 'lockdown=none', 'lsm='],
  ...['security=none', 'selinux=0', 'apparmor=0', 'mitigations=off', 'iommu=off', 'intel_iommu=off'],
];

/** Without anything in common, so that what lets all of one kind through lets everything through. */
const probes = {
  lines: ['x', 'root=/dev/sda1 quiet', ...harmfulWords.map((word) => `BOOT_IMAGE=/vmlinuz ${word} ro`)],
  paths: [
    ...['/usr/bin/bash', '/usr/sbin/sshd', '/usr/lib/x86_64-linux-gnu/libc.so.6', '/usr/local/bin/x'],
    ...['/bin/sh', '/sbin/init', '/lib/modules/6.1/k.ko', '/lib64/ld-linux.so.2', '/etc/rc.local'],
    ...['/opt/Q', '/home/a/.b', '/root/x', '/srv/x', '/tmp/x', '/var/tmp/x', '/run/x', '/dev/shm/x'],
  ],
  texts: ['root=/dev/sda1 quiet', 'machine-id:0f', 'file-system:/:0:ext4', 'product-id:1', 'x'],
};

export function nothingProblems(policy: MeasurementPolicy): ManifestProblem[] {
  const { firmware, firmwareConfig, secureBoot, bootChain, commandLine, userspace, runtime } = policy;
  const all = [firmware, firmwareConfig, secureBoot, bootChain, commandLine, userspace, runtime];
  const rules = all.filter((rule) => rule !== undefined);
  if (rules.length === 0) {
    return [nothing([], 'no component has a rule; write at least one, as secureBoot: {}')];
  }
  if (policy.mode === 'enforce' && rules.every(({ onFail }) => onFail === 'warn')) {
    return [
      nothing([], 'every rule only warns, so that every host would be trusted; write mode: report for that'),
    ];
  }
  const sets = policy.references.length > 0 || policy.acceptNext.length > 0;
  return [
    ...(secureBoot === undefined ? [] : secureBootProblems(secureBoot)),
    ...(sets ? [] : withoutSets(policy)),
    ...(runtime === undefined ? [] : runtimeProblems(runtime, policy.mode, sets)),
  ];
}

/** Asks the very lookups that judge. @param policy with patterns that are some */
export function passAllProblems({
  firmware,
  firmwareConfig,
  commandLine,
  userspace,
  runtime,
}: MeasurementPolicy): ManifestProblem[] {
  const problems = [];
  for (const [key, rule] of Object.entries({ firmware, firmwareConfig })) {
    if (rule !== undefined && measuringTypeNames.every((type) => rule.ignoreTypes.includes(type)))
      problems.push(nothing([key, 'ignoreTypes'], 'leaves out every type of event'));
  }
  if (commandLine !== undefined && passesEveryLine(commandLine)) {
    const advice = 'require or forbid words, or be narrower';
    problems.push(
      nothing(['commandLine', 'accept'], `accepts every command line, init=/bin/sh too; ${advice}`),
    );
  }
  const { acceptsText } = userspaceLookup(new Set(), userspace);
  if (probes.texts.every((text) => acceptsText(text, 15))) {
    problems.push(nothing(['userspace', 'accept'], 'accepts everything that user space measures'));
  }
  const { excludes } = fileLookup([], runtime);
  if (probes.paths.every(excludes)) problems.push(nothing(['runtime', 'exclude'], 'leaves out every file'));
  return problems;
}

function passesEveryLine(rule: CommandLineRule): boolean {
  const { accepts, missing, forbidden } = commandLineLookup([], rule);
  return probes.lines.every(
    (line) => accepts(line) && missing(line).length === 0 && forbidden(line).length === 0,
  );
}

function nothing(path: Path, message: string): ManifestProblem {
  return { code: 'policy_checks_nothing', path, message };
}

/** Whatever sets there are: of PCR 7 they only accept more. */
function secureBootProblems(rule: SecureBootRule): ManifestProblem[] {
  if (!isEmptyRule({ ...rule, accept: [] })) return [];
  return [nothing(['secureBoot'], 'asks neither for Secure Boot nor for any key')];
}

/** Rules of a policy that names no sets, and say nothing themselves. */
function withoutSets({ firmware, firmwareConfig, bootChain, commandLine }: MeasurementPolicy) {
  const problems = [];
  for (const [key, rule] of Object.entries({ firmware, firmwareConfig, bootChain })) {
    if (rule?.accept.length === 0) {
      problems.push(nothing([key], 'has nothing to compare with: name references, or accept digests'));
    }
  }
  if (commandLine !== undefined && isEmptyRule(commandLine)) {
    problems.push(
      nothing(['commandLine'], 'has nothing to compare with: name references, or accept, require, forbid'),
    );
  }
  return problems;
}

function runtimeProblems(
  { accept, signed, rules }: RuntimeRule,
  mode: MeasurementPolicy['mode'],
  sets: boolean,
): ManifestProblem[] {
  const problems = [];
  if (!sets && accept.length === 0) {
    const keys = signed ? 'the keys of signed files come from reference sets: name one' : undefined;
    problems.push(
      nothing(['runtime'], keys ?? 'has nothing to compare with: name references, or accept files'),
    );
  }
  if (mode === 'enforce' && rules.policies.length === 0 && rules.commandLine.length === 0) {
    const why = 'without rules that make IMA measure, an empty list would look healthy';
    problems.push(nothing(['runtime', 'rules'], `${why}: name policies, or commandLine: [ima_policy=tcb]`));
  }
  for (const [index, word] of rules.commandLine.entries()) {
    if (measuresFiles(word)) continue;
    const message = `${JSON.stringify(word)} does not make IMA measure files; ima_policy=tcb does`;
    problems.push(nothing(['runtime', 'rules', 'commandLine', index], message));
  }
  return problems;
}

/** Of the rules that a kernel has built in (ima_policy.c), joined by `|`, `tcb` alone measures files. */
function measuresFiles(word: string): boolean {
  const [name, value = ''] = word.split(/=(.*)/s);
  return name === 'ima_policy' && value.split('|').includes('tcb');
}

/** Whether all that a rule could compare with is empty, and it asks for nothing. */
function isEmptyRule(rule: object): boolean {
  return Object.entries(rule).every(
    ([key, value]) =>
      key === 'onFail' || value === false || value === '' || (Array.isArray(value) && value.length === 0),
  );
}
