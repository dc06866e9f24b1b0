/** Where a server listens. Types only. Runs in: primary. */
import type { AddressInfo } from "node:net";

/** As `server.address()` tells it: the path of a Unix socket, or address and port. */
export type ListenAddress = AddressInfo | string;
