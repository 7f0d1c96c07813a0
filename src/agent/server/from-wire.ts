import { messageOf, TouchmarkError } from '../../errors.js';
import type { Bundle } from '../../spiffe/bundle.js';
import type { Entry } from '../../spiffe/entry.js';
import type { SpiffeId } from '../../spiffe/id.js';
import { bundleFromWire } from '../../wire/bundle.js';
import { entryFromWire } from '../../wire/entry.js';
import type { SPIFFEID, Bundle as WireBundle, Entry as WireEntry } from '../../wire/gen/spire/types_pb.js';
import { spiffeIdFromWire } from '../../wire/id.js';
import { readCertificate } from '../../x509/read-certificate.js';

/** @throws TouchmarkError `server_answer_invalid` */
export function receivedId(id: SPIFFEID | undefined): SpiffeId {
  return told('an ID', () => spiffeIdFromWire(id, 'id'));
}

/**
 * An entry as the server sent it. Whether it is wise was decided by the server. Fields outside the mask of SPIRE's agents may
 * be missing and are then empty; in place of the parent stands the entry's own ID, for the agent has no use for it.
 * @throws TouchmarkError `server_answer_invalid`
 */
export function receivedEntry(entry: WireEntry): Entry {
  return told(`entry ${JSON.stringify(entry.id.slice(0, 100))}`, () => {
    if (entry.id === '') throw new TouchmarkError('wire_invalid', 'it has no ID');
    const parentId = entry.parentId ?? entry.spiffeId;
    return entryFromWire(parentId === undefined ? entry : { ...entry, parentId });
  });
}

/**
 * A bundle as the server sent it, every certificate read once so that a damaged one never enters. Does not establish whose
 * bundle it is: the caller compares the trust domain with the one that was asked for.
 * @throws TouchmarkError `server_answer_invalid`
 */
export function receivedBundle(message: WireBundle): Bundle {
  return told(`a bundle of ${JSON.stringify(message.trustDomain.slice(0, 255))}`, () => {
    const bundle = bundleFromWire(message);
    for (const { der } of bundle.x509Authorities) readCertificate(der);
    return bundle;
  });
}

/** Whatever is wrong with what a server sent is the server's fault, and is named as that. */
function told<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof TouchmarkError)) throw cause;
    const message = `the server sent ${what} that makes no sense: ${messageOf(cause)}`;
    throw new TouchmarkError('server_answer_invalid', message, { cause });
  }
}
