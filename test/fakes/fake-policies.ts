import type {
  HostGroup,
  MeasurementPolicy,
  OnFail,
  ResolvedPolicy,
  RuntimeRule,
} from '../../src/measure/policy/model.js';
import type { InForce, PolicyBook } from '../../src/server/measurements/contract.js';
import type { Host } from '../../src/server/model.js';

/** A book that a test writes. */
export interface FakePolicies extends PolicyBook {
  set(inForce: InForce | undefined): void;
  setFor(choose: (host: Pick<Host, 'id' | 'labels'>) => InForce | undefined): void;
  /** A window of time began or ended. */
  tell(): void;
}

export function fakePolicies(): FakePolicies {
  const listeners = new Set<() => void>();
  let choose: (host: Pick<Host, 'id' | 'labels'>) => InForce | undefined = () => undefined;
  const book: FakePolicies = {
    policyFor: (host) => choose(host),
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    set: (inForce) => book.setFor(() => inForce),
    setFor(next) {
      choose = next;
      book.tell();
    },
    tell() {
      for (const listener of listeners) listener();
    },
    [Symbol.dispose]() {},
  };
  return book;
}

export interface PolicyOptions {
  /** Names the version. */
  readonly id?: string;
  readonly mode?: MeasurementPolicy['mode'];
  /** Paths that must not run, as the simple appraiser takes them. */
  readonly forbidden?: readonly string[];
  readonly onFail?: OnFail;
  readonly next?: ResolvedPolicy['next'];
  readonly maintenance?: HostGroup['maintenance'];
}

/** In force for all hosts of a group `all`. */
export function inForce(options: PolicyOptions = {}): InForce {
  const {
    id = 'p1',
    mode = 'enforce',
    forbidden = [],
    onFail = 'drift',
    next = [],
    maintenance = [],
  } = options;
  const runtime: RuntimeRule = {
    onFail,
    rules: { policies: [], commandLine: [] },
    accept: [],
    signed: false,
    exclude: forbidden,
    violations: 'fail',
    agentMeasured: false,
  };
  const policy: MeasurementPolicy = {
    kind: 'MeasurementPolicy',
    name: 'web',
    description: '',
    mode,
    references: [],
    acceptNext: [],
    runtime,
  };
  const group: HostGroup = {
    kind: 'HostGroup',
    name: 'all',
    description: '',
    priority: 0,
    labels: {},
    policy: 'web',
    maintenance,
  };
  return { group, policy: { id, policy, references: [], next } };
}
