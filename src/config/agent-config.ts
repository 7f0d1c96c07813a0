import type { LogLevel } from '../log.js';
import type { TrustDomain } from '../spiffe/id.js';

/** The agent's configuration, checked. Durations are seconds. The table in agent-keys.ts yields exactly this. */
export interface AgentConfig {
  readonly trustDomain: TrustDomain;
  readonly dataDir: string;
  readonly serverAddress: string;
  readonly serverPort: number;
  /** The Workload API socket, for everybody. */
  readonly socketPath: string;
  /** The operators' socket; empty: none. */
  readonly adminSocketPath: string;
  readonly log: { readonly level: LogLevel; readonly format: 'json' | 'text' };
  /** PEM or SPIFFE bundle document with the server's authorities. */
  readonly trustBundleFile: string;
  /** Trust whoever answers the first time. For experiments only. */
  readonly insecureBootstrap: boolean;
  readonly attestation:
    | {
        readonly type: 'tpm';
        readonly tcti: string;
        readonly endorsementAuthFile: string;
        readonly akGeneration: number;
      }
    | { readonly type: 'join_token'; readonly tokenFile: string }
    | { readonly type: 'x509pop'; readonly certificateFile: string; readonly keyFile: string };
  /** Where the logs are that explain this host's quotes. */
  readonly measurement: { readonly securityfs: string; readonly userspaceLog: string };
  readonly workloadKeyType: 'ec-p256' | 'rsa-2048';
  readonly workloadAttestors: {
    readonly unix?: { readonly path: boolean; readonly sha256: boolean; readonly sizeLimit: number };
    readonly systemd?: Record<string, never>;
    readonly binary?: { readonly verity: boolean; readonly sizeLimit: number };
  };
  /** Bundles for callers without an entry. */
  readonly allowUnauthenticatedVerifiers: boolean;
  readonly limits: {
    readonly connectionsPerUid: number;
    readonly streamsPerUid: number;
    readonly jwtCache: number;
  };
}
