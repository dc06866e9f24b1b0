/**
 * Starts the chat: `node server.js [--port 3000] [--workers 4] [--host 127.0.0.1]`.
 * The same file is run by the primary and, forked by it, by every worker.
 */
import cluster from "node:cluster";
import { readSettings, SettingsError, USAGE } from "./settings.js";

if (cluster.isPrimary) {
  const { startPrimary } = await import("./primary.js");
  try {
    const settings = readSettings(process.argv.slice(2), process.env);
    if (settings.help) console.log(USAGE);
    else startPrimary(settings);
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    console.error(`${error.message}\n\n${USAGE}`);
    process.exitCode = 2;
  }
} else {
  const { startWorker } = await import("./worker.js");
  startWorker();
}
