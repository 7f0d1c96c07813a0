import { row } from './row.js';

/** Error codes of EFI images and unified kernel images, and of what reference sets are made from. */
export const measureUkiErrors = {
  pe_too_large: row('INVALID_ARGUMENT', 'At most 1 GiB is read: check that the file is a boot image.'),
  pe_truncated: row('INVALID_ARGUMENT', 'Give the whole image, as it lies on the EFI system partition.'),
  pe_invalid: row('INVALID_ARGUMENT', 'Give an EFI image (PE/COFF), as objcopy, ukify or sbsign wrote it.'),
  uki_invalid: row('INVALID_ARGUMENT', 'Give a unified kernel image, as ukify or objcopy made it.'),
  reference_source_invalid: row(
    'INVALID_ARGUMENT',
    'Give an input of the kind that --from names; --help lists the kinds.',
  ),
  reference_source_too_large: row('RESOURCE_EXHAUSTED', 'Split the input; the message names the limit.'),
};
