/**
 * Checks the options of `setupPrimary()`, once, and fills in the defaults.
 * Owns: the defaults and the ranges. Runs in: primary.
 */

import type { HostDirectory } from "../hosts.js";
import { MAX_TIMER_MS, OptionReader } from "../option-reader.js";
import type { ForwardedHeader, HostTlsOptions, LoadBalancingMethod, PrimaryOptions } from "../options.js";
import type { HostCredentials } from "../wire/host-credentials.js";
import { resolveHostTls } from "./resolve-host-tls.js";
import { createTrust, type IsTrusted } from "./trusted-proxies.js";

export interface ResolvedPrimaryOptions {
  readonly loadBalancingMethod: LoadBalancingMethod;
  readonly name: string;
  readonly headTimeoutMs: number;
  readonly maxHeadBytes: number;
  readonly maxPendingConnections: number;
  readonly workerTimeoutMs: number;
  readonly proxyProtocol: boolean;
  /** `undefined` if no proxy is trusted. */
  readonly isTrusted: IsTrusted | undefined;
  readonly forwardedHeader: ForwardedHeader;
  readonly ipv6PrefixLength: number;
  readonly selectWorker: PrimaryOptions["selectWorker"];
  readonly slotOf: PrimaryOptions["slotOf"];
  /** `undefined` if sessions of other hosts are not looked for. */
  readonly hosts: HostDirectory | undefined;
  /** `undefined` for an address of this machine. */
  readonly hostAddress: string | undefined;
  readonly hostPort: number;
  /** `undefined` for the same as `hostAddress`. */
  readonly hostBind: string | undefined;
  /** `undefined` for no TLS between hosts. */
  readonly hostTls: HostCredentials | undefined;
}

const HEADERS: readonly ForwardedHeader[] = ["x-forwarded-for", "forwarded"];
const METHODS: readonly LoadBalancingMethod[] = ["least-connection", "round-robin", "random", "hash"];

export function resolvePrimaryOptions(input: PrimaryOptions = {}): ResolvedPrimaryOptions {
  const options = new OptionReader("setupPrimary", input);
  const trustedProxies = options.value("trustedProxies", [], isListOfStrings, "an array of strings");
  const hostAddress = options.value("hostAddress", undefined, isAddress, "an IP address or a host name");
  return options.end({
    loadBalancingMethod: options.oneOf("loadBalancingMethod", "least-connection", METHODS),
    name: options.string("name", "default", 1, 64),
    headTimeoutMs: options.integer("headTimeout", 10_000, 1, MAX_TIMER_MS),
    maxHeadBytes: options.integer("maxHeadSize", 16_384, 256, 65_536),
    maxPendingConnections: options.integer("maxPendingConnections", 20_000, 1, 1_000_000),
    workerTimeoutMs: options.integer("workerTimeout", 5_000, 0, MAX_TIMER_MS),
    proxyProtocol: options.boolean("proxyProtocol", false),
    isTrusted: trustedProxies.length === 0 ? undefined : createTrust(trustedProxies),
    forwardedHeader: options.oneOf("forwardedHeader", "x-forwarded-for", HEADERS),
    ipv6PrefixLength: options.integer("ipv6PrefixLength", 64, 1, 128),
    selectWorker: options.fn<PrimaryOptions["selectWorker"]>("selectWorker", undefined),
    slotOf: options.fn<PrimaryOptions["slotOf"]>("slotOf", undefined),
    hosts: options.value("hosts", undefined, isHosts, "hub.hosts of setupPrimary() of @holdfast/adapter"),
    hostAddress,
    hostPort: options.integer("hostPort", 0, 0, 65_535),
    hostBind: options.value("hostBind", undefined, isAddress, "an IP address or a host name"),
    hostTls: resolveHostTls(options.value("hostTls", undefined, isObject, "an object"), hostAddress),
  });
}

function isHosts(value: unknown): value is HostDirectory | undefined {
  if (value === undefined) return true;
  const { name, publish, suspect, ready, on, off } = Object(value) as Record<string, unknown>;
  return (
    typeof name === "string" && [publish, suspect, ready, on, off].every((each) => typeof each === "function")
  );
}

function isObject(value: unknown): value is HostTlsOptions | undefined {
  return value === undefined || (typeof value === "object" && value !== null);
}

function isAddress(value: unknown): value is string | undefined {
  return value === undefined || (typeof value === "string" && /^[\w.:%-]{1,253}$/.test(value));
}

function isListOfStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}
