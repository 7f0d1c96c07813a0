import assert from 'node:assert/strict';
import { hasCode, messageOf } from '../../src/errors.js';

/** For `assert.rejects`: an SVID is not to be had, for a reason that its caller is not told. */
export function because(reason: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(hasCode(error, 'svid_unavailable'), String(error));
    assert.match(messageOf(error.cause), reason);
    assert.doesNotMatch(error.message, reason);
    return true;
  };
}
