/** Where Redis Cluster keeps a key. Pure. Runs in: where the hub is. */

const SLOTS = 16_384;
const POLYNOMIAL = 0x1021;

/**
 * The slot of all keys with this hash tag: CRC-16 (XMODEM) of it.
 * @see https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#key-distribution-model
 */
export function slotOf(hashTag: string): number {
  let crc = 0;
  for (const byte of Buffer.from(hashTag)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000 ? (crc << 1) ^ POLYNOMIAL : crc << 1) & 0xffff;
  }
  return crc % SLOTS;
}
