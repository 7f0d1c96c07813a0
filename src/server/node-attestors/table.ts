/** Every way of attesting a node that there is; which of them a server accepts is its configuration. */
export const knownAttestorTypes: readonly string[] = ['tpm', 'join_token', 'x509pop'];
