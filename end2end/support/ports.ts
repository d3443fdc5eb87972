// Free ports of the loopback interface.
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer, type AddressInfo, type Server } from "node:net";

/** Systems give outgoing connections ports from 32768 up, so that one from there may be taken before a
 * server binds it. */
const FROM = 15_000;
const TO = 32_000;

/** A server on a port that nobody uses. */
async function hold(): Promise<Server> {
  for (let tries = 0; ; tries += 1) {
    const server = createServer().listen(randomInt(FROM, TO), "127.0.0.1");
    try {
      await once(server, "listening");
      return server;
    } catch (error) {
      if (tries === 100) throw error;
    }
  }
}

/** Ports that were free a moment ago. All are held until the last one is found, so none repeats. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, hold));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}
