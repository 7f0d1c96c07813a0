import { atEnd, enter, enterWhole, oid, readElement, reader, sequence, tag, text, tlv } from './der.js';

/** The parts of a distinguished name that we write, in this order. */
export interface NameParts {
  readonly country?: string;
  readonly organization?: string;
  readonly organizationalUnit?: string;
  readonly commonName?: string;
  readonly serialNumber?: string;
}

const attributes: ReadonlyArray<readonly [keyof NameParts, Buffer, number]> = [
  ['country', oid('2.5.4.6'), tag.printableString],
  ['organization', oid('2.5.4.10'), tag.utf8String],
  ['organizationalUnit', oid('2.5.4.11'), tag.utf8String],
  ['commonName', oid('2.5.4.3'), tag.utf8String],
  ['serialNumber', oid('2.5.4.5'), tag.printableString],
];

/** A Name with no parts: such a certificate's subject alternative name is critical (RFC 5280 section 4.1.2.6). */
export const emptyName: Uint8Array = sequence();

/** Encodes a distinguished name: one attribute per relative name. */
export function encodeName(parts: NameParts): Buffer {
  const relative = attributes.flatMap(([part, type, stringTag]) => {
    const value = parts[part];
    return value ? [tlv(tag.set, sequence(type, text(stringTag, value)))] : [];
  });
  return sequence(...relative);
}

const shortNames = new Map(
  Object.entries({ C: '2.5.4.6', O: '2.5.4.10', OU: '2.5.4.11', CN: '2.5.4.3', serialNumber: '2.5.4.5' }).map(
    ([short, dotted]) => [oid(dotted).subarray(2).toString('hex'), short],
  ),
);

/** `C=US, O=Touchmark` for people; attributes that we have no short name for are shown by their encoding. Never compare by it. */
export function describeName(der: Uint8Array): string {
  const shown: string[] = [];
  const name = enterWhole(der, tag.sequence, 'the name');
  while (!atEnd(name)) {
    const set = enter(name, tag.set, 'a relative name');
    while (!atEnd(set)) shown.push(describeAttribute(readElement(set).content));
  }
  return shown.join(', ');
}

function describeAttribute(content: Uint8Array): string {
  const attribute = reader(content);
  const type = Buffer.from(readElement(attribute).content).toString('hex');
  const value = Buffer.from(readElement(attribute).content).toString('utf8');
  return `${shortNames.get(type) ?? type}=${value}`;
}
