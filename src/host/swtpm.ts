/** A running software TPM with an endorsement certificate. For tests and `touchmark dev`: never for production. */
export interface Swtpm extends AsyncDisposable {
  /** What openTpm() takes. */
  tcti: string;
  /** The EK authority's root and issuer, PEM. */
  rootPem: string;
  issuerPem: string;
  /** Where its state lies: copy it to get a clone of the chip. */
  stateDirectory: string;
  pid: number;
  dispose(): Promise<void>;
}
