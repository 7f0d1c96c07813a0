import { readFile } from 'node:fs/promises';
import { messageOf, TouchmarkError } from '../errors.js';

/** A whole file as text, or standard input for `-`. @throws TouchmarkError `file_unreadable` */
export async function readText(context: { readStdin(): Promise<string> }, path: string): Promise<string> {
  try {
    return path === '-' ? await context.readStdin() : await readFile(path, 'utf8');
  } catch (cause) {
    throw new TouchmarkError('file_unreadable', `cannot read ${path}: ${messageOf(cause)}`, { cause });
  }
}
