// HTTP as bytes on a socket. Most clients and servers normalize paths and headers; these do not.
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server } from "node:net";

/** An API that records each request byte for byte and returns 200. It accepts every protocol
 * upgrade: it returns 101 and then echoes the bytes that it receives. */
export class Recorder {
  /** The heads of the requests that arrived: request line and headers, in latin1. */
  readonly heads: string[] = [];
  /** The bytes that arrived after a protocol upgrade. */
  readonly piped: string[] = [];

  private constructor(private readonly server: Server) {
    server.on("connection", (socket) => {
      let text = "";
      socket.setEncoding("latin1").on("error", () => {});
      socket.on("data", (more: string) => {
        text += more;
        const end = text.indexOf("\r\n\r\n");
        if (end < 0) return;
        const head = text.slice(0, end);
        this.heads.push(head);
        socket.removeAllListeners("data").resume();
        const protocol = /^upgrade: *(.*)$/im.exec(head)?.[1];
        if (protocol) {
          socket.on("data", (bytes: string) => {
            this.piped.push(bytes);
            socket.write(bytes, "latin1");
          });
          socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`);
          return;
        }
        socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
      });
    });
  }

  static async start(): Promise<Recorder> {
    const server = createServer();
    await once(server.listen(0, "127.0.0.1"), "listening");
    return new Recorder(server);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Returns the request lines that arrived since the last call. */
  takeLines(): string[] {
    return this.heads.splice(0).map((head) => head.split("\r\n")[0]);
  }

  async stop(): Promise<void> {
    await once(this.server.close(), "close");
  }
}

/** Returns whether `text` contains a complete response. */
function isWhole(text: string): boolean {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return false;
  if (text.startsWith("HTTP/1.1 101 ")) return true;
  const length = /^content-length: *(\d+)/im.exec(text.slice(0, end))?.[1];
  return length === undefined ? text.endsWith("\r\n0\r\n\r\n") : text.length >= end + 4 + Number(length);
}

/** Sends `bytes` (latin1) to the server at `url`. Returns the response, or everything received
 * until the server closed. */
export async function exchange(url: string, bytes: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname).setEncoding("latin1");
  let answer = "";
  socket.on("data", (text: string) => {
    answer += text;
    if (isWhole(answer)) socket.destroy();
  });
  // A server that rejects a request early may reset the connection. Keep what it sent until then.
  socket.on("error", () => {});
  const late = setTimeout(() => socket.destroy(), 20_000);
  socket.write(bytes, "latin1");
  await once(socket, "close");
  clearTimeout(late);
  return answer;
}

/** Sends a head, and `more` after the response to it. Returns everything received until the text
 * ends with `wanted` or the server closes. */
export async function converse(url: string, head: string, more: string, wanted: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname).setEncoding("latin1");
  let answer = "";
  let hasSentAll = false;
  socket.on("data", (text: string) => {
    answer += text;
    if (!hasSentAll && isWhole(answer)) {
      hasSentAll = true;
      socket.write(more, "latin1");
    }
    if (hasSentAll && answer.endsWith(wanted)) socket.destroy();
  });
  socket.on("error", () => {});
  const late = setTimeout(() => socket.destroy(), 20_000);
  socket.write(head, "latin1");
  await once(socket, "close");
  clearTimeout(late);
  return answer;
}

/** Sends a request with exactly this target and these header lines. Returns the status and text of
 * the response. */
export async function request(
  url: string,
  method: string,
  target: string,
  headers: string[] = [],
): Promise<{ status: number; text: string }> {
  const lines = [`${method} ${target} HTTP/1.1`, "Host: api.example.com", "Connection: close", ...headers];
  if (method === "POST") lines.push("Content-Length: 0");
  const text = await exchange(url, `${lines.join("\r\n")}\r\n\r\n`);
  return { status: Number(text.split(" ")[1]), text };
}
