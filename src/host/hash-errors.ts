import { TouchmarkError } from '../errors.js';

export function refused(message: string, detail: Record<string, unknown> = {}): TouchmarkError {
  return new TouchmarkError('hash_refused', message, { detail });
}

export function tooLarge(maxBytes: number): TouchmarkError {
  return refused(`the file is larger than ${maxBytes} bytes`);
}
