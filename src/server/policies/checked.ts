import { TouchmarkError } from '../../errors.js';
import { hashOf } from '../../measure/policy/canonical.js';
import { checkManifest } from '../../measure/policy/check.js';
import type { Version } from '../../measure/policy/resolve.js';
import { isLarge } from '../../measure/policy/validate.js';
import { createThread } from '../thread.js';
import type { CheckAnswer, CheckQuestion } from './check-worker.js';

/**
 * Manifests as objects under the names of their content; large ones, which take seconds, in a thread of their own.
 * @throws TouchmarkError what `checkManifest` throws
 */
export async function checkedVersions(manifests: readonly unknown[]): Promise<readonly Version[]> {
  if (!isLarge(manifests)) return checkEach(manifests);
  await using thread = createThread<CheckQuestion, CheckAnswer>(
    new URL('./check-worker.js', import.meta.url),
  );
  const answer = await thread.ask({ manifests });
  if ('versions' in answer) return answer.versions;
  throw answer.code === undefined ? new Error(answer.error) : new TouchmarkError(answer.code, answer.error);
}

/** @throws TouchmarkError what `checkManifest` throws */
export function checkEach(manifests: readonly unknown[]): Version[] {
  return manifests.map((manifest) => {
    const object = checkManifest(manifest);
    return { object, hash: hashOf(object) };
  });
}
