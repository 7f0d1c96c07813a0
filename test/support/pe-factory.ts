export interface MadeSection {
  readonly name: string;
  readonly content: string | Uint8Array;
  /** Size in memory, when it is not that of the content. */
  readonly virtualSize?: number;
  readonly virtualAddress?: number;
}

export interface MadePe {
  readonly format?: 'pe32' | 'pe32+';
  readonly sections: readonly MadeSection[];
  /** Order of the rows in the section table, by index; the content stays in order. */
  readonly tableOrder?: readonly number[];
  /** Content of attached certificates. */
  readonly certificates?: readonly Uint8Array[];
  /** Behind the last section, and in front of the certificates. */
  readonly extra?: Uint8Array;
  /** How many data directories there are. */
  readonly directories?: number;
}

/** Where things are in a made image. */
export const at = { pe: 64, optional: 88, checksum: 152 } as const;
const FILE_ALIGNMENT = 512;

/** An EFI image with sections aligned to 512 bytes in the file and 4096 in memory. */
export function makePe(made: MadePe): Buffer {
  const { format = 'pe32+', sections, extra = new Uint8Array(), directories = 16 } = made;
  const fixed = format === 'pe32' ? 96 : 112;
  const optionalSize = fixed + directories * 8;
  const table = at.optional + optionalSize;
  const header = Buffer.alloc(aligned(table + sections.length * 40));
  header.write('MZ', 0, 'latin1');
  header.writeUInt32LE(at.pe, 60);
  header.write('PE\0\0', at.pe, 'latin1');
  header.writeUInt16LE(0x8664, at.pe + 4);
  header.writeUInt16LE(sections.length, at.pe + 6);
  header.writeUInt16LE(optionalSize, at.pe + 20);
  header.writeUInt16LE(format === 'pe32' ? 0x10b : 0x20b, at.optional);
  header.writeUInt32LE(header.length, at.optional + 60);
  header.writeUInt32LE(directories, at.optional + fixed - 4);
  const contents = sections.map(({ content }) => padded(Buffer.from(content)));
  const certificates = Buffer.concat((made.certificates ?? []).map(certificate));
  writeTable(header, table, made, contents);
  if (certificates.length > 0) {
    const size = contents.reduce((sum, { length }) => sum + length, header.length + extra.length);
    header.writeUInt32LE(size, at.optional + fixed + 32);
    header.writeUInt32LE(certificates.length, at.optional + fixed + 36);
  }
  return Buffer.concat([header, ...contents, extra, certificates]);
}

function writeTable(header: Buffer, table: number, made: MadePe, contents: readonly Buffer[]): void {
  let offset = header.length;
  const rows = made.sections.map((section, index) => {
    const row = Buffer.alloc(40);
    const size = contents[index]?.length ?? 0;
    row.write(section.name, 0, 8, 'latin1');
    row.writeUInt32LE(section.virtualSize ?? Buffer.from(section.content).length, 8);
    row.writeUInt32LE(section.virtualAddress ?? 0x1000 + index * 0x100000, 12);
    row.writeUInt32LE(size, 16);
    row.writeUInt32LE(size === 0 ? 0 : offset, 20);
    offset += size;
    return row;
  });
  const order = made.tableOrder ?? rows.map((_, index) => index);
  order.forEach((index, place) => {
    rows[index]?.copy(header, table + place * 40);
  });
}

/** WIN_CERTIFICATE of type PKCS #7. */
function certificate(content: Uint8Array): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32LE(8 + content.length, 0);
  head.writeUInt16LE(0x200, 4);
  head.writeUInt16LE(2, 6);
  const whole = Buffer.concat([head, content]);
  return Buffer.concat([whole, Buffer.alloc((8 - (whole.length % 8)) % 8)]);
}

const allNames =
  '.linux .osrel .cmdline .initrd .ucode .splash .dtb .uname .sbat .pcrsig .pcrpkey .profile .dtbauto .hwids .efifw';

/** A stub that knows these sections, in front of the payload. */
export function makeUki(
  payload: readonly MadeSection[],
  knows = allNames,
  rest: Partial<MadePe> = {},
): Buffer {
  const text = { name: '.text', content: `code\0${knows.split(' ').join('\0')}\0more` };
  const magic = { name: '.sdmagic', content: '#### LoaderInfo: systemd-stub 257.1 ####\0' };
  return makePe({ sections: [text, magic, ...payload], ...rest });
}

function padded(content: Buffer): Buffer {
  return Buffer.concat([content, Buffer.alloc(aligned(content.length) - content.length)]);
}

function aligned(size: number): number {
  return Math.ceil(size / FILE_ALIGNMENT) * FILE_ALIGNMENT;
}
