/** What clients do with an example: they spread over its workers, and talk to each other. Runs in: tests. */
import { expect } from "vitest";
import { CLIENT_KINDS, type Example, type ExampleClient, talk } from "./example.js";

/** Clients of every kind, until at least two workers serve some. */
export async function connectAcross(example: Example): Promise<ExampleClient[]> {
  const clients: ExampleClient[] = [];
  do {
    for (const kind of CLIENT_KINDS) clients.push(await example.connect(kind));
    if (clients.length > 30) throw new Error("all connections went to one worker");
  } while (new Set(clients.map(({ worker }) => worker)).size < 2);
  return clients;
}

/** Everyone speaks once, and everyone hears each of them once. */
export async function everyoneTalks(clients: ExampleClient[], topic: string): Promise<void> {
  for (const [i, speaker] of clients.entries()) await talk(speaker, clients, `${topic} ${i}`);
  const said = clients.map((_, i) => `${topic} ${i}`);
  for (const { heard } of clients) expect(heard.filter((text) => text.startsWith(topic))).toEqual(said);
}
