import type { Clock } from '../clock.js';
import type { NodeStatus } from './contract.js';

export interface StatusSource {
  readonly status: NodeStatus;
  readonly counts: { readonly entries: number; readonly x509: number };
}

/** One line for `systemctl status`: what the agent does, and what it waits for. */
export function statusLine({ status, counts }: StatusSource): string {
  const { phase, approvalCode, connected, reasons, lastContact } = status;
  if (approvalCode !== '') return `waiting for approval; ${approveWith(approvalCode)}`;
  if (phase === 'withdrawn') {
    const why = reasons.map(({ message }) => message).join('; ');
    return `identities withdrawn by the server${why === '' ? '' : `: ${why}`}`;
  }
  if (phase === 'starting') return status.id === undefined ? 'attesting this node' : 'waiting for the server';
  const held = `${counts.entries} entries, ${counts.x509} X.509-SVIDs`;
  if (!connected) return `cut off since ${iso(lastContact)}, serving from cache: ${held}`;
  return `serving: ${held}; node SVID until ${iso(status.svidExpiresAt * 1000)}`;
}

export function approveWith(code: string): string {
  return `approve with: touchmark-server host approve ${code}`;
}

/** Calls `tell` with the line whenever it reads differently. Returns how to stop. */
export function followStatus(
  source: StatusSource & { onChange(listener: () => void): () => void },
  tell: (line: string) => void,
): () => void {
  let told = '';
  const look = () => {
    const line = statusLine(source);
    if (line === told) return;
    told = line;
    tell(line);
  };
  look();
  return source.onChange(look);
}

/**
 * Feeds the service manager's watchdog at half its interval, as long as the agent really works. A blocked event loop does not
 * get here; a loop of the agent that ended is what `alive` tells.
 */
export function feedWatchdog(
  clock: Clock,
  watchdogMs: number | undefined,
  alive: () => boolean,
  feed: () => void,
): () => void {
  if (watchdogMs === undefined) return () => {};
  let cancel = () => {};
  const beat = () => {
    if (alive()) feed();
    cancel = clock.after(watchdogMs / 2, beat);
  };
  beat();
  return () => cancel();
}

function iso(unixMs: number): string {
  return unixMs === 0 ? 'the start' : `${new Date(unixMs).toISOString().slice(0, 19)}Z`;
}
