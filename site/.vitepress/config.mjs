/** The documentation site: the repository's Markdown as it is, with a home page and a search that works offline. */
import { readdirSync } from "node:fs";
import { defineConfig } from "vitepress";

const EXAMPLES = new Set(readdirSync(new URL("../../examples/", import.meta.url)));

const pages = (...items) => items.map(([text, name]) => ({ text, link: `/docs/${name}` }));

export default defineConfig({
  title: "Holdfast",
  description: "Socket.IO on all cores: no client notices anything",
  srcDir: "..",
  outDir: "./dist",
  srcExclude: [
    "**/node_modules/**",
    "bench/**",
    "test/**",
    "harness/**",
    "scripts/**",
    ".ci/**",
    "**/CHANGELOG.md",
  ],
  rewrites: { "site/index.md": "index.md" },
  cleanUrls: true,
  lastUpdated: false,
  // Sources are in the repository, not on the site; all else must lead somewhere.
  ignoreDeadLinks: [
    /\.(?:ts|js|mjs|json|cfg|conf)$/,
    /\/(?:src|proxies)(?:\/|$)/,
    /(?:LICENSE|CHANGELOG|Dockerfile)$/,
    (url) => EXAMPLES.has(url.replace(/^.*\//, "")),
  ],
  themeConfig: {
    search: { provider: "local" },
    outline: [2, 3],
    nav: [
      { text: "Guide", link: "/docs/cluster" },
      { text: "Reference", link: "/docs/reference-cluster" },
      { text: "Benchmarks", link: "/docs/benchmarks" },
    ],
    sidebar: [
      {
        text: "To use it",
        items: pages(
          ["Run a cluster", "cluster"],
          ["The dashboard", "dashboard"],
          ["Metrics", "metrics"],
          ["Reload", "reload"],
          ["Recovery", "recovery"],
          ["Many hosts", "many-hosts"],
          ["TLS", "tls"],
          ["Behind a proxy", "behind-a-proxy"],
          ["Containers", "containers"],
          ["PM2", "pm2"],
          ["The hub process", "hub-process"],
          ["Frameworks", "frameworks"],
          ["Migrating", "migrating"],
          ["Security", "security"],
        ),
      },
      {
        text: "Reference",
        items: pages(
          ["@holdfast/cluster", "reference-cluster"],
          ["@holdfast/adapter", "reference-adapter"],
          ["@holdfast/sticky", "reference-sticky"],
        ),
      },
      {
        text: "To understand it",
        items: pages(
          ["The adapter", "adapter"],
          ["Sticky sessions", "sticky"],
          ["Guarantees", "guarantees"],
          ["Performance", "performance"],
          ["Benchmarks", "benchmarks"],
          ["Architecture", "architecture"],
          ["The wire protocol", "protocol"],
          ["Words", "words"],
        ),
      },
    ],
  },
});
