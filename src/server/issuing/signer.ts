import type { KeyObject } from 'node:crypto';
import { TouchmarkError } from '../../errors.js';
import { type CertificateSigner, makeSigner } from '../../x509/certificate.js';
import { type Certificate, readCertificate } from '../../x509/read-certificate.js';
import { verifyDer } from '../../x509/signature.js';
import { importSpki } from '../../x509/spki.js';
import type { X509Signer } from '../contract.js';

/** A signer with what is worked out once for it. */
export interface OpenSigner {
  readonly certificateSigner: CertificateSigner;
  readonly intermediates: readonly Uint8Array[];
  readonly notAfter: number;
  /**
   * Verifies the signature of the first certificate that this signer made, with the key that its own certificate names; of
   * later ones nothing. @throws TouchmarkError `issued_mismatch`
   */
  verifyOnce(issued: Certificate): void;
}

/** Remembers what it has opened for as long as the authority holds the signer. */
export function signerOpener(): (signer: X509Signer) => OpenSigner {
  const opened = new WeakMap<X509Signer, OpenSigner>();
  return (signer) => {
    const known = opened.get(signer) ?? open(signer);
    opened.set(signer, known);
    return known;
  };
}

function open(signer: X509Signer): OpenSigner {
  const certificateSigner = makeSigner(signer.key, signer.certificate);
  const publicKey = importSpki(readCertificate(signer.certificate).spki);
  let verified = false;
  return {
    certificateSigner,
    intermediates: signer.intermediates,
    notAfter: signer.notAfter,
    verifyOnce(issued) {
      if (verified) return;
      verify(issued, publicKey);
      verified = true;
    },
  };
}

function verify({ signatureAlgorithm, tbs, signature }: Certificate, publicKey: KeyObject): void {
  if (verifyDer(signatureAlgorithm, tbs, publicKey, signature)) return;
  throw new TouchmarkError(
    'issued_mismatch',
    'the signature of the issued certificate is not that of its authority',
  );
}
