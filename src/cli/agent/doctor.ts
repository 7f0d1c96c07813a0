import { existsSync } from 'node:fs';
import { secretReader } from '../../agent/secrets.js';
import { systemClock } from '../../clock.js';
import type { AgentConfig } from '../../config/agent-config.js';
import { loadAgentConfig, readConfigFile } from '../../config/load.js';
import { formatProblem } from '../../config/problem.js';
import { messageOf, TouchmarkError } from '../../errors.js';
import { examineHost, thisMachine } from '../../host/doctor/examine.js';
import { type DoctorFinding, found, type Level } from '../../host/doctor/findings.js';
import type { Subject } from '../../host/doctor/subject.js';
import { configFlags } from '../daemon-flags.js';
import type { Verb, VerbContext } from '../verb.js';

const defaults = {
  tcti: 'device:/dev/tpmrm0',
  securityfs: '/sys/kernel/security',
  userspaceLog: '/run/log/systemd/tpm2-measure.log',
  dataDir: '/var/lib/touchmark/agent',
  socketPath: '/run/touchmark/agent/public/api.sock',
};

const marks: Readonly<Record<Level, string>> = {
  ok: 'ok      ',
  note: 'note    ',
  warning: 'WARNING ',
  error: 'ERROR   ',
};

export const doctorVerb: Verb = {
  name: 'doctor',
  summary:
    'Examine this host: TPM, logs, IMA, Secure Boot, clock, permissions; exit 1 when something is in the way.',
  example: 'sudo touchmark-agent doctor',
  flags: [
    ...configFlags('/etc/touchmark/agent.toml'),
    { name: 'tcti', type: 'string', doc: 'The TPM to look at instead of attestation.tcti.' },
  ],
  run: async (context) => {
    const { findings: ofConfig, config } = readConfig(context);
    const subject = await subjectOf(context, config, ofConfig);
    const findings = [...ofConfig, ...(await examineHost(subject))];
    context.out.result({ pretty: text(findings), json: { findings, ...counts(findings) } });
    return findings.some(({ level }) => level === 'error') ? 1 : 0;
  },
};

/** Without a file, or with a wrong one, the rest is still looked at. */
function readConfig({ flags, environment }: VerbContext): {
  findings: DoctorFinding[];
  config?: AgentConfig;
} {
  const file = flags.string('config');
  if (!existsSync(file)) return { findings: [found('config_missing', `there is no ${file}`)] };
  try {
    const options = flags.boolean('expandEnv') ? { environment } : {};
    const { config, problems } = loadAgentConfig(file, readConfigFile(file), options);
    if (config !== undefined) return { config, findings: [found('config', `${file} is good`)] };
    return { findings: problems.map((problem) => found('config_invalid', formatProblem(problem))) };
  } catch (error) {
    return { findings: [found('not_seen', messageOf(error))] };
  }
}

async function subjectOf(
  { flags, environment }: VerbContext,
  config: AgentConfig | undefined,
  findings: DoctorFinding[],
): Promise<Subject> {
  const machine = thisMachine(systemClock.now());
  const given = flags.string('tcti');
  const tcti = given === '' ? defaults.tcti : given;
  if (config === undefined) return { ...defaults, tcti, machine };
  const { attestation, measurement, dataDir, socketPath, serverAddress: address, serverPort: port } = config;
  const chip = attestation.type === 'tpm' && given === '' ? { tcti: attestation.tcti } : { tcti };
  const auth = attestation.type === 'tpm' ? attestation.endorsementAuthFile : '';
  const secret = auth === '' ? {} : await endorsementAuth(auth, environment, findings);
  return { ...measurement, ...chip, ...secret, dataDir, socketPath, server: { address, port }, machine };
}

async function endorsementAuth(
  file: string,
  environment: VerbContext['environment'],
  findings: DoctorFinding[],
): Promise<Pick<Subject, 'endorsementAuth'>> {
  try {
    const bytes = await secretReader({ ...environment })(file, 'endorsement hierarchy password');
    return {
      endorsementAuth: Buffer.from(
        Buffer.from(bytes)
          .toString('latin1')
          .replace(/[\r\n]+$/, ''),
        'latin1',
      ),
    };
  } catch (error) {
    const remedy = error instanceof TouchmarkError ? error.remedy : undefined;
    findings.push(found('not_seen', messageOf(error), remedy));
    return {};
  }
}

function counts(findings: readonly DoctorFinding[]): Record<'errors' | 'warnings', number> {
  const many = (wanted: Level) => findings.filter(({ level }) => level === wanted).length;
  return { errors: many('error'), warnings: many('warning') };
}

function text(findings: readonly DoctorFinding[]): string {
  const lines = findings.flatMap(({ level, message, remedy }) => [
    `${marks[level]} ${message}`,
    ...(remedy === '' ? [] : [`${' '.repeat(marks.ok.length)}   ${remedy}`]),
  ]);
  const { errors, warnings } = counts(findings);
  const plural = (many: number, what: string) => `${many} ${what}${many === 1 ? '' : 's'}`;
  return [...lines, '', `${plural(errors, 'error')}, ${plural(warnings, 'warning')}`].join('\n');
}
