/** The thread that makes one reference set of what many hosts showed. It keeps what it was given until it ends. */
import { isMainThread, parentPort } from 'node:worker_threads';
import { type ErrorCode, messageOf, TouchmarkError } from '../../errors.js';
import type { Evidence } from '../../measure/appraise/contract.js';
import {
  isEmptySet,
  type ReferenceAbout,
  referenceDocument,
} from '../../measure/policy/reference-sources/reference-set.js';
import type { Numbered } from '../thread.js';
import { type Gathering, gathering } from './gathering.js';
import { shownReferences } from './shown-references.js';

/** Evidence of one more host; or what became of all. */
export type GatherQuestion =
  | { readonly evidence: Evidence; readonly about: ReferenceAbout }
  | { readonly finish: ReferenceAbout; readonly least: number };

export type GatherAnswer = Numbered &
  (
    | { readonly shown: boolean; readonly notes: readonly string[] }
    /** JSON in UTF-8; absent: there is nothing in it. */
    | { readonly manifest: Uint8Array | undefined }
    | { readonly error: string; readonly code?: ErrorCode }
  );

if (!isMainThread) serve();

function serve(): void {
  const gathered = gathering('what the hosts showed');
  parentPort?.on('message', (request: GatherQuestion & Numbered) => {
    parentPort?.postMessage(answer(request, gathered));
  });
}

function answer(request: GatherQuestion & Numbered, gathered: Gathering): GatherAnswer {
  const { id } = request;
  try {
    return { id, ...('finish' in request ? finished(request, gathered) : added(request, gathered)) };
  } catch (error) {
    return { id, error: messageOf(error), ...(error instanceof TouchmarkError ? { code: error.code } : {}) };
  }
}

function added({ evidence, about }: Extract<GatherQuestion, { about: unknown }>, gathered: Gathering) {
  const made = shownReferences(about, evidence);
  gathered.add(made);
  return { shown: made.some(({ set }) => !isEmptySet(set)), notes: made.flatMap(({ notes }) => notes) };
}

function finished({ finish, least }: Extract<GatherQuestion, { finish: unknown }>, gathered: Gathering) {
  const set = gathered.set(finish, least);
  const text = JSON.stringify(referenceDocument(set));
  return { manifest: isEmptySet(set) ? undefined : new Uint8Array(Buffer.from(text, 'utf8')) };
}
