import { TouchmarkError } from '../../errors.js';
import type { NodeAttestor, NodeAttestorDeps } from './contract.js';

/** `join_token`: a secret that the server gave out once. It proves that somebody was handed it, and nothing about the host. */
export function joinTokenAttestor(
  settings: { readonly tokenFile: string },
  deps: Pick<NodeAttestorDeps, 'readSecret'>,
): NodeAttestor {
  return {
    type: 'join_token',
    reattestable: false,
    async begin() {
      const text = Buffer.from(await deps.readSecret(settings.tokenFile, 'join token'))
        .toString('utf8')
        .trim();
      if (text === '') {
        throw new TouchmarkError('node_secret_missing', `the join token in ${settings.tokenFile} is empty`);
      }
      return { payload: Buffer.from(text, 'utf8'), answer: refuseChallenge };
    },
    async [Symbol.asyncDispose]() {},
  };
}

async function refuseChallenge(): Promise<never> {
  const message = 'the server sent a challenge, which a join token has no answer to';
  throw new TouchmarkError('node_attestation_failed', message);
}
