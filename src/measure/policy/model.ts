/**
 * What a security engineer writes down: measurement policies, reference sets and groups of hosts. These are the checked
 * documents; `check.ts` makes them from manifests, and their versions are named by their content.
 */

/** The parts of a host that are judged one by one, in the order in which they come to run. */
export const componentNames = [
  'firmware',
  'firmware-config',
  'secure-boot',
  'boot-chain',
  'command-line',
  'userspace',
  'runtime',
] as const;
export type ComponentName = (typeof componentNames)[number];

/** `sha256:<hex>`, `sha384:<hex>` or `sha1:<hex>`, in lower case. */
export type Digest = string;

/** One accepted measurement. */
export interface DigestReference {
  readonly digest: Digest;
  /** For people: `shim 15.8`, `BIOS 2.17.1`. Nothing is compared with it. */
  readonly label: string;
}

/** One accepted file of the IMA list. */
export interface FileReference {
  /** Of the file's content, or of its fs-verity tree: `verity:sha256:<hex>`. */
  readonly digest: Digest;
  /** A glob that the measured path must match; empty: wherever it lies. */
  readonly path: string;
}

/** One accepted unified kernel image. */
export interface UkiReference {
  readonly label: string;
  /** Authenticode hashes of the whole image, and of the kernel inside it: what the firmware measures into PCR 4. */
  readonly image: readonly Digest[];
  readonly kernel: readonly Digest[];
  /** Digests of the content of each section that the stub measures into PCR 11, in its order. */
  readonly sections: readonly { readonly name: string; readonly digests: readonly Digest[] }[];
  /** The embedded command line; empty: none. */
  readonly commandLine: string;
}

/** Known good values, made from things that operators have (`touchmark-server reference create`). */
export interface ReferenceSet {
  readonly kind: 'ReferenceSet';
  readonly name: string;
  readonly description: string;
  /** What it was made from; for people. */
  readonly source: string;
  /** Names of further sets that belong to this one. */
  readonly includes: readonly string[];
  /** Digests of events in PCR 0 and 2. */
  readonly firmware: readonly DigestReference[];
  /** Digests of events in PCR 1 and 3. */
  readonly firmwareConfig: readonly DigestReference[];
  /** Digests of events in PCR 7: variables and authorities as a whole. */
  readonly secureBoot: readonly DigestReference[];
  /** Digests of events in PCR 4 (Authenticode), 8, 9, 12, 13 and 14. */
  readonly bootChain: readonly DigestReference[];
  readonly ukis: readonly UkiReference[];
  /** Exact kernel command lines. */
  readonly commandLines: readonly string[];
  /** Digests of events that user space measured (PCR 9, 11, 12, 13, 15). */
  readonly userspace: readonly DigestReference[];
  readonly files: readonly FileReference[];
  /** Certificates or public keys, PEM: who signs files (security.ima). */
  readonly fileSigners: readonly string[];
}

/** What follows when a component fails, or when nothing is known of it in an enforcing policy. */
export type OnFail = 'drift' | 'suspect' | 'warn';

interface ComponentRule {
  readonly onFail: OnFail;
}

/** firmware and firmware-config: every digest must be a reference. */
export interface DigestRule extends ComponentRule {
  /** In addition to the reference sets of the policy. */
  readonly accept: readonly Digest[];
  /** Events that are left out, by the name of their type (`EV_EFI_VARIABLE_BOOT`); reported as not covered. */
  readonly ignoreTypes: readonly string[];
}

export interface SecureBootRule extends ComponentRule {
  /** Whether Secure Boot must be on. */
  readonly enabled: boolean;
  /** SHA-256 of certificates (DER) or of signature data; empty: not compared. */
  readonly platformKeys: readonly Digest[];
  readonly keyExchangeKeys: readonly Digest[];
  /** db must hold nothing else; empty: not compared. */
  readonly allowed: readonly Digest[];
  /** dbx must hold at least these. */
  readonly revokedAtLeast: readonly Digest[];
  /** Smallest date of shim's SBAT level, `2024010900`; empty: not compared. */
  readonly sbatLevelAtLeast: string;
  /** Digests of whole events that are accepted beside all of this. */
  readonly accept: readonly Digest[];
}

export interface BootChainRule extends ComponentRule {
  readonly accept: readonly Digest[];
  /** Whether a list that goes on after kexec is accepted. */
  readonly kexec: boolean;
}

export interface CommandLineRule extends ComponentRule {
  /** Globs. */
  readonly accept: readonly string[];
  /** Globs of single words, as `ima_policy=tcb`, that must be there; and that must not. */
  readonly require: readonly string[];
  readonly forbid: readonly string[];
}

export interface UserspaceRule extends ComponentRule {
  /** Globs of measured texts: `machine-id:*`. The phases of a normal boot are always accepted. */
  readonly accept: readonly string[];
}

export interface RuntimeRule extends ComponentRule {
  /** What makes sure that IMA measures at all. */
  readonly rules: {
    /** SHA-256 of IMA policy files that may be in force, as the list measured them. */
    readonly policies: readonly Digest[];
    /** Words of an accepted command line that set rules: `ima_policy=tcb`. */
    readonly commandLine: readonly string[];
  };
  readonly accept: readonly FileReference[];
  /** Files signed by a key of the policy's reference sets are accepted. */
  readonly signed: boolean;
  /** Globs of paths that are not judged; how many entries they hide is reported. */
  readonly exclude: readonly string[];
  /** Entries that were written to while they were measured. */
  readonly violations: 'fail' | 'warn' | 'ignore';
  /** The agent's own files must be in the list, with accepted digests. */
  readonly agentMeasured: boolean;
}

/** References that are accepted besides, for the time of an update. Unix milliseconds. */
export interface AcceptNext {
  readonly references: readonly string[];
  readonly from: number;
  readonly until: number;
}

export interface MeasurementPolicy {
  readonly kind: 'MeasurementPolicy';
  readonly name: string;
  readonly description: string;
  /** `report` says what it finds and withdraws nothing. */
  readonly mode: 'enforce' | 'report';
  /** Names of reference sets, `name` for the newest version or `name@<hash>` for that very one. */
  readonly references: readonly string[];
  readonly acceptNext: readonly AcceptNext[];
  /** A component without a rule is not judged; a policy without any rule is refused. */
  readonly firmware?: DigestRule;
  readonly firmwareConfig?: DigestRule;
  readonly secureBoot?: SecureBootRule;
  readonly bootChain?: BootChainRule;
  readonly commandLine?: CommandLineRule;
  readonly userspace?: UserspaceRule;
  readonly runtime?: RuntimeRule;
}

/** Which hosts a policy is for. Of several groups that match, the one of highest priority counts, then the first by name. */
export interface HostGroup {
  readonly kind: 'HostGroup';
  readonly name: string;
  readonly description: string;
  readonly priority: number;
  /** Label -> glob; all must match. Empty: every host. */
  readonly labels: Readonly<Record<string, string>>;
  /** `name` or `name@<hash>`. */
  readonly policy: string;
  /** Within these, a failing host is suspect instead of drifted. Unix milliseconds. */
  readonly maintenance: readonly { readonly from: number; readonly until: number }[];
}

export type MeasurementObject = MeasurementPolicy | ReferenceSet | HostGroup;

/** A policy together with the very versions of the sets that it names: what evidence is judged by. */
export interface ResolvedPolicy {
  /** SHA-256, hex, over the versions of the policy and all its sets: names this judgement for ever. */
  readonly id: string;
  readonly policy: MeasurementPolicy;
  /** With everything that they include, each once. */
  readonly references: readonly ReferenceSet[];
  readonly next: readonly {
    readonly references: readonly ReferenceSet[];
    readonly from: number;
    readonly until: number;
  }[];
}
