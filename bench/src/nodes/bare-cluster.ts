/**
 * As many processes as a cluster has, with nothing between them: the control of a cluster's start. Its first answer shows
 * what it takes to load Node.js and Socket.IO so many times. Program: a primary, and workers that run `plain.js`.
 */
import cluster from "node:cluster";
import { fileURLToPath } from "node:url";

cluster.setupPrimary({ exec: fileURLToPath(new URL("plain.js", import.meta.url)) });
for (let i = 0; i < Number(process.env.WORKERS); i++) cluster.fork();
