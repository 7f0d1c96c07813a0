/** Signs this server's intermediate CA with an authority above it. */
export interface UpstreamAuthority {
  /**
   * @param csr PKCS#10, DER, of the new intermediate
   * @param ttl seconds wished for
   * @returns `chain`: the intermediate first, then further intermediates, without the root; `roots`: what is published
   */
  mintCa(csr: Uint8Array, ttl: number): Promise<{ chain: Uint8Array[]; roots: Uint8Array[] }>;
}
