/** Starts the chat: `node server.js [--port 3000] [--workers 4] [--host 127.0.0.1]`. Its workers run worker.js. */
import { startPrimary } from "./primary.js";
import { readSettings, SettingsError, USAGE } from "./settings.js";

try {
  const settings = readSettings(process.argv.slice(2), process.env);
  if (settings.help) console.log(USAGE);
  else await startPrimary(settings);
} catch (error) {
  if (!(error instanceof SettingsError)) throw error;
  console.error(`${error.message}\n\n${USAGE}`);
  process.exitCode = 2;
}
