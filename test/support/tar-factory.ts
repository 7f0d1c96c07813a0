export interface MadeEntry {
  readonly name: string;
  readonly content?: string | Uint8Array;
  readonly type?: string;
  readonly mode?: number;
  readonly link?: string;
  /** Written in the header when it is not the content's. */
  readonly size?: string;
  readonly prefix?: string;
  /** Magic and version; `ustar` of POSIX if not given. */
  readonly magic?: string;
}

const BLOCK = 512;

export function tarEntry(entry: MadeEntry): Buffer {
  const content = Buffer.from(entry.content ?? '');
  const header = Buffer.alloc(BLOCK);
  const octal = (value: number, size: number) => value.toString(8).padStart(size - 1, '0');
  header.write(entry.name, 0, 100, 'latin1');
  header.write(octal(entry.mode ?? 0o644, 8), 100, 'latin1');
  header.write(entry.size ?? octal(content.length, 12), 124, 'latin1');
  header.write(entry.type ?? '0', 156, 'latin1');
  header.write(entry.link ?? '', 157, 100, 'latin1');
  header.write(entry.magic ?? 'ustar\0' + '00', 257, 'latin1');
  header.write(entry.prefix ?? '', 345, 155, 'latin1');
  header.write('        ', 148, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return Buffer.concat([header, content, Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK)]);
}

/** As dpkg-deb writes archives: entries, two empty blocks, and what fills the last record. */
export function tar(...entries: readonly MadeEntry[]): Buffer {
  return Buffer.concat([...entries.map(tarEntry), Buffer.alloc(2 * BLOCK + 4096)]);
}
