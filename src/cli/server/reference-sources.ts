import { parseImaAscii } from '../../measure/ima/ima-ascii.js';
import { parseImaBinary } from '../../measure/ima/ima-binary.js';
import { bootLogReferences } from '../../measure/policy/reference-sources/boot-log-source.js';
import { fileReferences, isCode } from '../../measure/policy/reference-sources/file-source.js';
import { imaReferences } from '../../measure/policy/reference-sources/ima-source.js';
import { pcrlockReferences } from '../../measure/policy/reference-sources/pcrlock-source.js';
import type { MadeReferences, ReferenceAbout } from '../../measure/policy/reference-sources/reference-set.js';
import { ukiReferences } from '../../measure/policy/reference-sources/uki-source.js';
import { MAX_IMAGE } from '../../measure/uki/pe-image.js';
import { isHashName } from '../../tpm/algorithms.js';
import { readInput } from '../read-file.js';
import type { Flag, VerbContext } from '../verb.js';
import { filesBelow } from './reference-dir.js';
import { hostsFlags, hostsReferences } from './reference-hosts.js';
import { packageReferences } from './reference-package.js';

/** One thing that a reference set can be made from. A new one is one row in the table below. */
export interface ReferenceSource {
  readonly doc: string;
  readonly flags: readonly Flag[];
  /** Whether an argument is a path: only its last part is written down. */
  readonly files: boolean;
  build(context: VerbContext, about: ReferenceAbout, arg: string): Promise<MadeReferences>;
}

const MAX_IMA_LIST = 64 * 1024 * 1024;
const allFlag: Flag = {
  name: 'all',
  type: 'boolean',
  doc: 'dir, package: every regular file, and not only programs, scripts, libraries, modules and firmware.',
};
const rootFlag: Flag = {
  name: 'root',
  type: 'string',
  doc: 'dir: the directory that is / on the hosts, for an unpacked image.',
  default: '/',
};
const listDigestFlag: Flag = {
  name: 'listDigest',
  type: 'string',
  doc: 'ima-list: hash of the template digests in the list, for lists of one bank.',
  default: 'sha1',
  choices: ['sha1', 'sha256', 'sha384', 'sha512'],
};

export const referenceSources: Readonly<Record<string, ReferenceSource>> = {
  uki: {
    doc: 'a unified kernel image',
    flags: [],
    files: true,
    build: async (_context, about, path) => ukiReferences(about, await readInput(path, MAX_IMAGE)),
  },
  dir: {
    doc: 'a directory of programs and libraries',
    flags: [allFlag, rootFlag],
    files: true,
    build: async ({ flags, signal }, about, path) => {
      const all = flags.boolean('all');
      const wanted = all ? () => true : isCode;
      return fileReferences(about, await filesBelow(path, flags.string('root'), wanted, signal), all);
    },
  },
  package: {
    doc: 'a Debian package (dpkg-deb must be installed)',
    flags: [allFlag],
    files: true,
    build: ({ flags, signal }, about, path) => packageReferences(about, path, flags.boolean('all'), signal),
  },
  pcrlock: {
    doc: 'a .pcrlock file of systemd',
    flags: [],
    files: true,
    build: async (_context, about, path) => pcrlockReferences(about, await readInput(path)),
  },
  'ima-list': {
    doc: 'a list of IMA measurements of a host that is known to be good',
    flags: [listDigestFlag],
    files: true,
    build: async ({ flags }, about, path) => {
      const bytes = await readInput(path, MAX_IMA_LIST);
      const listDigest = flags.string('listDigest');
      const options = isHashName(listDigest) ? { listDigest } : {};
      // A text list begins with a PCR in digits.
      const parse = /^ ?\d/.test(bytes.toString('latin1', 0, 2)) ? parseImaAscii : parseImaBinary;
      return imaReferences(about, parse(bytes, options), options.listDigest);
    },
  },
  'boot-log': {
    doc: 'the event log of the firmware of a host that is known to be good',
    flags: [],
    files: true,
    build: async (_context, about, path) => bootLogReferences(about, await readInput(path)),
  },
  hosts: {
    doc: 'what healthy hosts showed; ARG is `all`, or labels such as role=edge,site=*',
    flags: hostsFlags,
    files: false,
    build: hostsReferences,
  },
};
