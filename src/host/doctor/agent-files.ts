import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Account, agentAccount } from './accounts.js';
import { type DoctorFinding, found } from './findings.js';
import { isAbsent, isDenied, type Subject } from './subject.js';

/** The agent's directory and its socket: closed and open to everybody, in this order. */
export async function examineAgentFiles({ dataDir, socketPath, machine }: Subject): Promise<DoctorFinding[]> {
  return [await directory(dataDir, await agentAccount(machine)), await socket(socketPath)];
}

async function directory(path: string, agent: Account | undefined): Promise<DoctorFinding> {
  try {
    const { mode, uid } = await stat(path);
    if (agent !== undefined && uid !== agent.uid)
      return found('data_dir_owner', `${path} belongs to uid ${uid}, and the agent runs as ${agent.name}`);
    const bits = (mode & 0o777).toString(8).padStart(4, '0');
    if ((mode & 0o077) !== 0)
      return found('data_dir_open', `${path} is open to other users than the agent's, mode ${bits}`);
    return found('data_dir', `${path} is the agent's alone`);
  } catch (error) {
    if (isAbsent(error)) return found('data_dir_missing', `there is no ${path} yet`);
    if (isDenied(error)) return found('not_seen', `${path} is not visible here, so it was not looked at`);
    throw error;
  }
}

/** A workload of any user must get through to the socket, and may write to it. */
async function socket(path: string): Promise<DoctorFinding> {
  try {
    const { mode } = await stat(path);
    if ((mode & 0o006) !== 0o006) return found('socket_closed', `${path} is not open to every user`);
    for (let above = dirname(path); above !== '/' && above !== '.'; above = dirname(above)) {
      if (((await stat(above)).mode & 0o001) === 0)
        return found('socket_closed', `${above}, above the socket, does not let every user pass`);
    }
    return found('socket', `${path} is open to every user`);
  } catch (error) {
    if (isAbsent(error)) return found('socket_missing', `there is no ${path}: the agent does not run`);
    if (isDenied(error)) return found('not_seen', `${path} is not visible here, so it was not looked at`);
    throw error;
  }
}
