import { sendDatagram } from '../../native/libc.js';

/** Tells the service manager how we are (sd_notify(3)). Without a manager nothing happens. */
export interface Notifier {
  /** Clients are served from now on. */
  ready(): void;
  /** One line for `systemctl status`. */
  status(text: string): void;
  /** Still alive: to be sent at least every `watchdogMs / 2`, and only while the process really works. */
  watchdog(): void;
  stopping(): void;
  /** The configuration is being read again; ready() ends it. */
  reloading(): void;
  /** How often the manager wants to hear from us; undefined when it does not watch. */
  readonly watchdogMs: number | undefined;
}

/**
 * Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and takes them out of the environment so that programs we start do not
 * speak for us.
 * @param onError a manager that cannot be reached stops nothing; this is told once
 */
export function createNotifier(
  environment: NodeJS.ProcessEnv = process.env,
  onError: (error: unknown) => void = () => {},
): Notifier {
  const address = environment['NOTIFY_SOCKET'];
  const watchdogMs = watchdogInterval(environment);
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete environment[name];
  let complained = false;
  const send = (message: string) => {
    if (address === undefined || !/^[/@]./.test(address)) return;
    try {
      sendDatagram(address, message);
    } catch (error) {
      if (!complained) onError(error);
      complained = true;
    }
  };
  return {
    ready: () => send('READY=1'),
    status: (text) => send(`STATUS=${oneLine(text)}`),
    watchdog: () => send('WATCHDOG=1'),
    stopping: () => send('STOPPING=1'),
    // CLOCK_MONOTONIC, by which systemd (253) tells this reload from an earlier one.
    reloading: () => send(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`),
    watchdogMs,
  };
}

function watchdogInterval(environment: NodeJS.ProcessEnv): number | undefined {
  const pid = environment['WATCHDOG_PID'];
  if (pid !== undefined && pid !== String(process.pid)) return undefined;
  const micros = Number(environment['WATCHDOG_USEC']);
  return Number.isSafeInteger(micros) && micros > 0 ? micros / 1000 : undefined;
}

/** A line break would begin another assignment. */
function oneLine(text: string): string {
  return text.replaceAll(/[\r\n]+/g, ' ');
}
