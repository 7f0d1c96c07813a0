import type { Finding } from '../finding.js';
import type { PeImage, PeSection } from './pe-image.js';
import { type SectionReader, sectionReader } from './section-content.js';
import { hardwareDependent, type Stub, type UkiSectionName } from './stub.js';

/** One section that the stub measures, with its content in memory. */
export interface UkiSection {
  readonly name: UkiSectionName;
  readonly content: Buffer;
}

/** What one way to start the image measures: an image has one, or one for each of its `.profile` sections. */
export interface UkiProfile {
  /** As in `@1` in front of the command line that chooses it. */
  readonly index: number;
  /** In the order in which they are measured. */
  readonly sections: readonly UkiSection[];
  /** Of these at most one for each name is measured as well, where it fits the hardware. */
  readonly choices: readonly UkiSection[];
}

type Table = readonly PeSection[];

/**
 * Splits the section table as the stub does: what stands before the first `.profile` is common to all profiles, and each
 * profile puts its own sections in place of common ones of the same name.
 */
export function profilesOf(image: PeImage, stub: Stub): { profiles: UkiProfile[]; findings: Finding[] } {
  const starts = stub.knows.includes('.profile')
    ? image.sections.flatMap(({ name }, index) => (name === '.profile' ? [index] : []))
    : [];
  const common = image.sections.slice(0, starts[0] ?? image.sections.length);
  const own = starts.map((start, at) => image.sections.slice(start, starts[at + 1]));
  const content = sectionReader(image);
  const tables = own.length === 0 ? [[]] : own;
  return {
    profiles: tables.map((table, index) => profile(index, table, common, stub, content)),
    findings: [common, ...own].flatMap(repeated),
  };
}

function profile(index: number, own: Table, common: Table, stub: Stub, content: SectionReader): UkiProfile {
  const named = (table: Table, name: string) => table.filter((section) => section.name === name);
  const sections: UkiSection[] = [];
  const choices: UkiSection[] = [];
  for (const name of stub.knows) {
    if (name === '.pcrsig') continue;
    const mine = named(own, name);
    const found = mine.length > 0 ? mine : named(common, name);
    const into = hardwareDependent.has(name) ? choices : sections;
    // An empty one counts as not there, and still hides the common one.
    const taken = (hardwareDependent.has(name) ? found : found.slice(0, 1)).filter(
      ({ virtualSize }) => virtualSize > 0,
    );
    into.push(...taken.map((section) => ({ name, content: content(section) })));
  }
  return { index, sections, choices };
}

/** Stubs take the first of a name, but not all their versions do. */
function repeated(table: Table): Finding[] {
  const seen = new Set<string>();
  const findings: Finding[] = [];
  for (const { name } of table) {
    if (seen.has(name) && !hardwareDependent.has(name) && name.startsWith('.')) {
      const message = `there is more than one section ${JSON.stringify(name)}; the first one is taken, as newer stubs do`;
      findings.push({ code: 'uki_section_repeated', event: null, message });
    }
    seen.add(name);
  }
  return findings;
}
