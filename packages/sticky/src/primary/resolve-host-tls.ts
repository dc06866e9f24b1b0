/**
 * Checks the option `hostTls` of `setupPrimary()`, with all that would otherwise show only when other hosts call.
 * Owns: nothing. Runs in: primary.
 */
import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { HoldfastError } from "../errors.js";
import { hostTls } from "../hosts/host-tls.js";
import { OptionReader } from "../option-reader.js";
import type { HostTlsOptions } from "../options.js";
import type { HostCredentials } from "../wire/host-credentials.js";
import { ownAddress } from "./own-address.js";

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION` */
export function resolveHostTls(
  input: HostTlsOptions | undefined,
  hostAddress = ownAddress(),
): HostCredentials | undefined {
  if (!input) return undefined;
  const options = new OptionReader("hostTls of setupPrimary", input);
  const pems = (name: "key" | "cert" | "ca") => pemsOf(name, options.value(name, undefined, isAny, ""));
  const credentials = options.end({
    key: pems("key").join("\n"),
    cert: pems("cert").join("\n"),
    ca: pems("ca"),
    passphrase: options.string("passphrase", undefined, 1, 1_024),
    servername: options.value("servername", undefined, isName, "a host name"),
  });
  const { cert, ca, servername = hostAddress } = credentials;
  const [own] = certificatesIn("cert", cert);
  for (const each of ca) certificatesIn("ca", each);
  if (!isFor(own, servername)) {
    throw invalid(
      `The certificate is not for ${servername}, but for ${own.subjectAltName ?? "no name at all"}: other hosts would not ` +
        "trust it. Set hostAddress to an address or a name that it is for, or hostTls.servername to a name that the " +
        "certificates of all hosts have.",
    );
  }
  try {
    hostTls(credentials);
  } catch (error) {
    throw invalid(
      `The key is not that of the certificate, or cannot be read: ${(error as Error).message}.`,
      error,
    );
  }
  return credentials;
}

function isAny(_: unknown): _ is unknown {
  return true;
}

/** What is wrong is not shown: it may be a part of a key. */
function pemsOf(name: string, value: unknown): string[] {
  const pems = [value].flat().filter((each) => typeof each === "string" || Buffer.isBuffer(each));
  const texts = pems.map(String).filter((text) => text.includes("-----BEGIN "));
  if (texts.length > 0 && texts.length === [value].flat().length) return texts;
  throw invalid(`"${name}" must be in PEM, as a string or a Buffer: what is in the file, not its path.`);
}

function isName(value: unknown): value is string | undefined {
  if (value === undefined) return true;
  return typeof value === "string" && /^[\w.-]{1,253}$/.test(value) && isIP(value) === 0;
}

/** Node.js passes over what it cannot read among authorities. */
function certificatesIn(name: string, text: string): [X509Certificate, ...X509Certificate[]] {
  const [first, ...rest] = text.match(CERTIFICATE) ?? [];
  if (first === undefined) throw invalid(`In "${name}" there is no certificate in PEM.`);
  try {
    return [new X509Certificate(first), ...rest.map((each) => new X509Certificate(each))];
  } catch (error) {
    throw invalid(
      `In "${name}" there is a certificate that cannot be read: ${(error as Error).message}.`,
      error,
    );
  }
}

function isFor(certificate: X509Certificate, name: string): boolean {
  return (isIP(name) ? certificate.checkIP(name) : certificate.checkHost(name)) !== undefined;
}

function invalid(text: string, cause?: unknown): HoldfastError {
  return new HoldfastError("HOLDFAST_ERR_INVALID_OPTION", `The option "hostTls" of setupPrimary(): ${text}`, {
    cause,
  });
}
