// A stand-in for Tessera, which shows how a gateway handles responses that Tessera rarely returns.
import { createServer, type IncomingMessage, type ServerResponse, type Server } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";

type Answer = (response: ServerResponse, request: IncomingMessage) => void;

export class StandIn {
  /** Responds to every request from now on. */
  answer: Answer = (response) => response.writeHead(401).end();
  /** The requests so far. */
  readonly questions: IncomingMessage[] = [];
  /** The number of connections so far. */
  connections = 0;
  /** The number of open connections. */
  open = 0;

  private constructor(private readonly server: Server) {
    server.on("connection", (socket) => {
      this.connections += 1;
      this.open += 1;
      socket.once("close", () => (this.open -= 1));
    });
    server.on("request", (request, response) => {
      this.questions.push(request);
      this.answer(response, request);
    });
  }

  static async start(): Promise<StandIn> {
    const server = createServer({ keepAliveTimeout: 60_000 });
    const standIn = new StandIn(server);
    await once(server.listen(0, "127.0.0.1"), "listening");
    return standIn;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await once(this.server.close(), "close");
  }
}
