/** What the files of this room share. */
import type { SentValues } from '../../attest/evidence.js';
import type { Clock } from '../../clock.js';
import type { Logger } from '../../log.js';
import type { TrustDomain } from '../../spiffe/id.js';
import type { HashName } from '../../tpm/algorithms.js';
import type { QuoteFacts } from '../../tpm/quote.js';
import type { Registry } from '../contract.js';
import type { Datastore } from '../datastores/contract.js';
import { type SerialLane, serialLane } from '../datastores/serial-lane.js';
import type { EvidenceRecord, Host } from '../model.js';
import type { NodeEvents } from '../nodes/events.js';
import type { ByteGate } from './byte-gate.js';
import type { EvidenceArchive, PolicyBook } from './contract.js';
import type { Hearing } from './hearing.js';
import type { Appraiser, Judge } from './judge.js';
import type { Remembered } from './memory.js';
import type { Pulls } from './pulls.js';

export interface MeasurementConfig {
  /** Seconds between two ticks. */
  readonly tickInterval: number;
  /** Seconds for which evidence is kept. */
  readonly keepEvidence: number;
  /** Seconds that a suspect host keeps getting SVIDs. */
  readonly suspectGrace: number;
  /** What sessions quote. */
  readonly bank: HashName;
  readonly pcrs: readonly number[];
}

export interface RoomDeps {
  readonly trustDomain: TrustDomain;
  readonly store: Datastore;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly log: Logger;
  readonly policies: PolicyBook;
  readonly onEvent: NodeEvents;
  readonly appraiser: Appraiser;
  readonly config: MeasurementConfig;
}

/** Hosts whose newest quote is not in their record yet. */
export interface UnwrittenQuotes {
  add(hostId: string): void;
  delete(hostId: string): void;
}

export interface Room extends RoomDeps {
  readonly judge: Judge;
  readonly pulls: Pulls;
  /** For what is kept of hosts while it is read back and judged. */
  readonly recalled: ByteGate;
  readonly archive: EvidenceArchive;
  readonly memory: Map<string, Remembered>;
  readonly hearing: Hearing;
  readonly unwritten: UnwrittenQuotes;
  /** One judgement of a host after the other. */
  lane(hostId: string): SerialLane;
}

/** A quote that passed every check of `verifyQuote`, with what it takes to check it again. */
export interface VerifiedQuote extends SentValues {
  readonly akName: string;
  /** Base64, as records hold it. */
  readonly akPublic: string;
  readonly attest: Uint8Array;
  readonly signature: Uint8Array;
  readonly asked: EvidenceRecord['asked'];
  readonly quote: QuoteFacts;
}

/** Who is judged: policies go by labels. */
export type Judgee = Pick<Host, 'id' | 'labels'>;

/** A lane for each host that has something to do; one that is idle is forgotten. */
export function hostLanes(): (hostId: string) => SerialLane {
  const lanes = new Map<string, { lane: SerialLane; users: number }>();
  return (hostId) => ({
    async run(task) {
      const entry = lanes.get(hostId) ?? { lane: serialLane(), users: 0 };
      lanes.set(hostId, entry);
      entry.users += 1;
      try {
        return await entry.lane.run(task);
      } finally {
        entry.users -= 1;
        if (entry.users === 0) lanes.delete(hostId);
      }
    },
    drained: async () => lanes.get(hostId)?.lane.drained(),
  });
}
