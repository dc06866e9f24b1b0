/** Serves the files of `public/`, and nothing else. Runs in: workers. */
import { readdirSync, readFileSync } from "node:fs";
import { extname } from "node:path";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
};

const folder = new URL("./public/", import.meta.url);

/** URL path → answer. Read once: a path that is not in here leads nowhere. */
const pages = new Map(
  readdirSync(folder).map((name) => {
    const page = { type: TYPES[extname(name)], body: readFileSync(new URL(name, folder)) };
    return [name === "index.html" ? "/" : `/${name}`, page];
  }),
);

export function servePages(request, response) {
  const page = pages.get(request.url.split("?", 1)[0]);
  if (!page) {
    response.writeHead(404, { "Content-Type": "text/plain" }).end("Not found\n");
    return;
  }
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.writeHead(405, { Allow: "GET, HEAD", "Content-Type": "text/plain" }).end("Not allowed\n");
    return;
  }
  response.writeHead(200, {
    "Content-Type": page.type,
    "Content-Length": page.body.length,
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'self'; connect-src 'self' ws: wss:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
  });
  response.end(request.method === "HEAD" ? undefined : page.body);
}
