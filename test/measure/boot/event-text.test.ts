import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { BootEvent } from '../../../src/measure/boot/boot-log.js';
import { bootEventText } from '../../../src/measure/boot/event-text.js';
import { eventType } from '../../../src/measure/boot/event-types.js';
import { variable } from '../../support/boot-log-factory.js';

const textOf = (type: number, data: Uint8Array) =>
  bootEventText({ index: 0, pcr: 0, type, digests: new Map(), data } as BootEvent);

test('a variable is told by its name, an action and a separator by their words', () => {
  assert.equal(textOf(eventType.efiVariableDriverConfig, variable('SecureBoot', '\x01')), 'SecureBoot');
  assert.equal(textOf(eventType.efiAction, Buffer.from('Exit Boot Services')), 'Exit Boot Services');
  assert.equal(textOf(eventType.separator, Buffer.from('ffffffff', 'hex')), 'ffffffff');
  assert.equal(textOf(eventType.ipl, Buffer.from('.cmdline\0', 'utf16le')), '.cmdline');
});

test('an image is told by the file at the end of its device path', () => {
  const name = Buffer.from('\\EFI\\BOOT\\BOOTX64.EFI\0', 'utf16le');
  const node = Buffer.concat([Buffer.from([4, 4, name.length + 4, 0]), name]);
  const other = Buffer.from([2, 1, 6, 0, 9, 9]);
  const data = Buffer.concat([Buffer.alloc(32), other, node, Buffer.from([0x7f, 0xff, 4, 0])]);
  assert.equal(textOf(eventType.efiBootServicesApplication, data), '\\\\EFI\\\\BOOT\\\\BOOTX64.EFI');
});

test('whatever bytes an event holds, its text is one short line', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...Object.values(eventType)),
      fc.uint8Array({ maxLength: 600 }),
      (type, data) => {
        const text = textOf(type, data);
        assert.ok(text.length <= 161);
        assert.doesNotMatch(text, /\p{Cc}/u);
      },
    ),
  );
});
