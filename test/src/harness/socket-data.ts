/** When the hub knows of `socket.data`, which has no events. Runs in: fixture processes. */
import type { Socket } from "socket.io";

/**
 * Settles when the adapter has read the data as it is now, and the hub has been told. It reads them a second after
 * the socket's client has sent something, so that has to happen after this call or less than a second before it.
 */
export async function dataTold(socket: Socket): Promise<void> {
  const [key] = Object.keys(socket.data);
  if (key === undefined) throw new Error("socket.data is empty: nobody reads any of it");
  const value: unknown = socket.data[key];
  await new Promise<void>((resolve) => {
    const get = () => {
      resolve();
      return value;
    };
    Object.defineProperty(socket.data, key, { get, enumerable: true, configurable: true });
  });
  Object.defineProperty(socket.data, key, { value, enumerable: true, configurable: true, writable: true });
  // The hub's answer to what goes behind it.
  await socket.nsp.adapter.serverCount();
}
