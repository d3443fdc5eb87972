// Finds free ports on the loopback interface.
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer, type AddressInfo, type Server } from "node:net";

/** The range of ports to try. Linux uses ports from 32768 up for outgoing connections, so a port in
 * that range could be taken before the server binds it. */
const FROM = 15_000;
const TO = 32_000;

/** Starts a server on an unused port. */
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

/** Returns ports that were free a moment ago. Holds all ports until the last is found, so that none
 * repeats. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, hold));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}
