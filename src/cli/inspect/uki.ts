import { MAX_IMAGE, parsePe } from '../../measure/uki/pe-image.js';
import { readInput } from '../read-file.js';
import type { Verb } from '../verb.js';
import { ukiReport } from './uki-report.js';
import { ukiText } from './uki-text.js';

export const inspectUki: Verb = {
  name: 'inspect uki',
  summary: 'Show what a host that boots an EFI image will measure: Authenticode hashes, sections, PCR 11.',
  example: 'touchmark inspect uki /boot/efi/EFI/Linux/debian.efi -output json',
  flags: [
    {
      name: 'profile',
      type: 'integer',
      doc: 'Which profile of the image is started, where it has several.',
      default: 0,
    },
  ],
  args: [{ name: 'FILE', doc: 'Unified kernel image, or any EFI image; up to 1 GiB.' }],
  run: async ({ args, flags, out }) => {
    const image = parsePe(await readInput(args[0] ?? '', MAX_IMAGE));
    const json = ukiReport(image, flags.integer('profile'));
    out.result({ pretty: () => ukiText(json), json });
    return undefined;
  },
};
