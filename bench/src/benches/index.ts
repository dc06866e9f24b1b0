/** All benches, in the order in which they are run and reported. */
import type { Bench } from "../lib/bench.js";
import { adapterChurn } from "./adapter-churn.js";
import { adapterClients } from "./adapter-clients.js";
import { adapterFanout } from "./adapter-fanout.js";
import { adapterFetch } from "./adapter-fetch.js";
import { adapterGrowth } from "./adapter-growth.js";
import { adapterJoins } from "./adapter-joins.js";
import { adapterLatency } from "./adapter-latency.js";
import { adapterMillion } from "./adapter-million.js";
import { adapterPaced } from "./adapter-paced.js";
import { adapterPayload } from "./adapter-payload.js";
import { adapterRooms } from "./adapter-rooms.js";
import { clientMemory } from "./client-memory.js";
import { hostsFanout } from "./hosts-fanout.js";
import { hostsGrowth } from "./hosts-growth.js";
import { hostsPaced } from "./hosts-paced.js";
import { hostsRecovery } from "./hosts-recovery.js";
import { hostsRooms } from "./hosts-rooms.js";
import { hubGrowth } from "./hub-growth.js";
import { metricsCost } from "./metrics-cost.js";
import { recovery } from "./recovery.js";
import { recoveryReturns } from "./recovery-returns.js";
import { reload } from "./reload.js";
import { startUp } from "./start-up.js";
import { stickyConnect } from "./sticky-connect.js";
import { stickyGet } from "./sticky-get.js";
import { stickyListen } from "./sticky-listen.js";
import { stickyMemory } from "./sticky-memory.js";
import { stickyPolling } from "./sticky-polling.js";
import { stickyRelay } from "./sticky-relay.js";

export const BENCHES: readonly Bench[] = [
  adapterFanout,
  adapterGrowth,
  adapterPaced,
  adapterPayload,
  adapterRooms,
  adapterJoins,
  adapterChurn,
  adapterMillion,
  adapterFetch,
  adapterClients,
  adapterLatency,
  hubGrowth,
  recovery,
  recoveryReturns,
  hostsFanout,
  hostsPaced,
  hostsRooms,
  hostsGrowth,
  hostsRecovery,
  reload,
  stickyConnect,
  stickyListen,
  stickyPolling,
  stickyRelay,
  stickyGet,
  stickyMemory,
  metricsCost,
  clientMemory,
  startUp,
];
