/** The boot as links, and where it breaks: at what a judgement found, which is not always where the component is at home. */
import type { ComponentAppraisal, ComponentReason, PcrAppraisal } from '../../measure/appraise/contract.js';
import type { ComponentName } from '../../measure/policy/model.js';
import type { ChainEvent } from './chain-events.js';

interface LinkKind {
  readonly title: string;
  /** Registers whose events, and whose reasons, lie here. */
  readonly pcrs: readonly number[];
  /** Whose reasons lie here where they name no register. */
  readonly component: ComponentName;
}

/** In the order in which they come to run. User space has its records wherever they are measured. */
const kinds: readonly LinkKind[] = [
  { title: 'Firmware', pcrs: [0, 2], component: 'firmware' },
  { title: 'Firmware settings', pcrs: [1, 3, 6], component: 'firmware-config' },
  { title: 'Secure Boot', pcrs: [7], component: 'secure-boot' },
  { title: 'Boot loader and kernel', pcrs: [4, 5, 8, 14], component: 'boot-chain' },
  { title: 'Kernel image and command line', pcrs: [9, 11, 12, 13], component: 'command-line' },
  { title: 'User space', pcrs: [15], component: 'userspace' },
];

export interface Judgement {
  readonly components: readonly ComponentAppraisal[];
  /** Whether what is not known counts as failed. */
  readonly enforced: boolean;
  /** Undefined: the registers are not known. */
  readonly pcrs: readonly PcrAppraisal[] | undefined;
}

/** A component, as far as it has to do with a link. */
export interface LinkComponent {
  readonly component: ComponentName;
  readonly result: ComponentAppraisal['result'];
  /** Those that lie here. */
  readonly reasons: readonly ComponentReason[];
  /** Whether it breaks the link. */
  readonly breaks: boolean;
}

export interface ChainLink {
  readonly title: string;
  readonly pcrs: readonly number[];
  readonly events: readonly ChainEvent[];
  readonly components: readonly LinkComponent[];
  /** Registers that hold something else than the logs tell. */
  readonly unexplained: readonly number[];
  readonly broken: boolean;
}

export function chainLinks(events: readonly ChainEvent[], judgement: Judgement): ChainLink[] {
  return kinds.map((kind) => {
    const own = events.filter((event) => linkOf(event) === kind);
    const pcrs = [...new Set([...kind.pcrs, ...own.map(({ pcr }) => pcr)])].sort((a, b) => a - b);
    const components = judgement.components.flatMap((one) => standing(kind, one, judgement.enforced));
    const unexplained = (judgement.pcrs ?? [])
      .filter(({ pcr, explained }) => pcrs.includes(pcr) && !explained)
      .map(({ pcr }) => pcr);
    const broken = unexplained.length > 0 || components.some(({ breaks }) => breaks);
    return { title: kind.title, pcrs, events: own, components, unexplained, broken };
  });
}

function linkOf({ log, pcr }: Pick<ComponentReason, 'log' | 'pcr'>): LinkKind | undefined {
  if (log === 'userspace-log') return homeOf('userspace');
  return kinds.find(({ pcrs }) => pcr !== undefined && pcrs.includes(pcr));
}

function homeOf(component: ComponentName): LinkKind | undefined {
  return kinds.find((kind) => kind.component === component);
}

function standing(
  kind: LinkKind,
  { component, result, reasons: all, more }: ComponentAppraisal,
  enforced: boolean,
): LinkComponent[] {
  const bad = result === 'fail' || (result === 'unknown' && enforced);
  const home = homeOf(component);
  const reasons = all.filter((reason) => (linkOf(reason) ?? home) === kind);
  // Reasons that are not kept may lie anywhere: then, and without any, the component breaks where it is at home.
  const unplaced = home === kind && (all.length === 0 || more > 0);
  const breaks = bad && (reasons.length > 0 || unplaced);
  const shown = breaks || reasons.length > 0 || (home === kind && !bad);
  return shown ? [{ component, result, reasons, breaks }] : [];
}
