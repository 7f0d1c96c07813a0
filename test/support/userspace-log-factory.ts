import { hash } from 'node:crypto';

/** A record as systemd writes it. */
export function record(pcr: number, text: string, eventType = 'phase') {
  return {
    pcr,
    digests: [{ hashAlg: 'sha256', digest: hash('sha256', text, 'hex') }],
    content_type: 'systemd',
    content: { string: text, bootId: '2f2f1c1ae1c04a24b1b0a8a1d8c9b0f0', timestamp: 1, eventType },
  };
}

/** A JSON text sequence. */
export function userspaceLog(...records: readonly object[]): Buffer {
  return Buffer.from(records.map((one) => `\x1e${JSON.stringify(one)}\n`).join(''));
}
