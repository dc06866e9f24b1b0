/** What tests and benches stand on: processes that are steered and watched from outside, and waiting for them. */
export { Agent, type Commands, readConfig, runsFunctions } from "./agent.js";
export { Changes } from "./changes.js";
export { findPrlimit, withoutDescriptors } from "./descriptors.js";
export { findProgram, skipsWithout, type Wanted } from "./find-program.js";
export { type HttpAnswer, httpRequest } from "./http-request.js";
export { canRunAsNobody, isRoot, NOBODY, runAsNobody } from "./other-user.js";
export { freePort, untilListening } from "./ports.js";
export { type Exit, Program, type ProgramOptions, type Result, runProgram } from "./program.js";
export { type Manifest, Project } from "./project.js";
export { RawSocket } from "./raw-socket.js";
export { RedisSentinel } from "./redis-sentinel.js";
export { findRedisServer, RedisServer, type RedisServerOptions } from "./redis-server.js";
export { RemoteProcess } from "./remote-process.js";
export { RemoteProgram, type RemoteProgramOptions } from "./remote-program.js";
export { within } from "./within.js";
