// A real gateway: nginx with the very configuration that the README shows, before a small API.
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { freePorts } from "./ports.ts";
import { Running } from "./process.ts";

const HERE = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../gateway");

/** The addresses in the documented configuration, which a test moves to free ports. */
const DOCUMENTED = {
  listen: "listen 127.0.0.1:8000;",
  tessera: "server 127.0.0.1:3000;",
  api: "server 127.0.0.1:8080;",
  workspace: "workspace=workspace-1&",
};

/** Puts `value` in the place of a text that occurs exactly once. */
function replaceOnce(text: string, place: string, value: string): string {
  const parts = text.split(place);
  if (parts.length !== 2) throw new Error(`${place} occurs ${parts.length - 1} times, not once`);
  return parts.join(value);
}

export class Gateway {
  private constructor(
    private readonly folder: string,
    private readonly port: number,
    private readonly apiPort: number,
    private readonly running: Running[],
  ) {}

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** What nginx and the API have written. */
  get log(): string {
    return this.running.map((program) => program.text).join("\n");
  }

  /** Starts nginx and the API; tokens of `workspace` are asked for at `tessera`. */
  static async start(tessera: string, workspace: string): Promise<Gateway> {
    const folder = await mkdtemp(path.join(tmpdir(), "tessera-gateway-"));
    await chmod(folder, 0o755);
    const [port, apiPort] = await freePorts(2);

    let site = await readFile(path.join(HERE, "nginx.conf"), "utf8");
    site = replaceOnce(site, DOCUMENTED.listen, `listen 127.0.0.1:${port};`);
    site = replaceOnce(site, DOCUMENTED.tessera, `server ${new URL(tessera).host};`);
    site = replaceOnce(site, DOCUMENTED.api, `server 127.0.0.1:${apiPort};`);
    site = replaceOnce(site, DOCUMENTED.workspace, `workspace=${encodeURIComponent(workspace)}&`);
    await writeFile(path.join(folder, "site.conf"), site);

    // What Debian's own nginx.conf does around conf.d, in a folder of our own.
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    const main = [
      "daemon off;",
      "worker_processes 1;",
      "pid nginx.pid;",
      "error_log stderr notice;",
      "events {}",
      "http {",
      "  access_log off;",
      ...temporary.map((kind) => `  ${kind}_temp_path ${path.join(folder, kind)};`),
      `  include ${path.join(folder, "site.conf")};`,
      "}",
    ];
    const config = path.join(folder, "nginx.conf");
    await writeFile(config, `${main.join("\n")}\n`);

    const api = Running.start("the API", process.execPath, [path.join(HERE, "upstream.mjs"), `${apiPort}`]);
    const args = ["-p", folder, "-c", config, "-e", "stderr"];
    const nginx = Running.start("nginx", process.env.NGINX ?? "nginx", args);
    const gateway = new Gateway(folder, port, apiPort, [nginx, api]);
    try {
      await api.says((text) => text.includes("listening") || null);
      await nginx.says((text) => text.includes("start worker process ") || null);
    } catch (error) {
      await gateway.destroy();
      throw error;
    }
    return gateway;
  }

  /** How many calls have reached the API behind the gateway. */
  async callsLetThrough(): Promise<number> {
    const answer = await fetch(`http://127.0.0.1:${this.apiPort}/calls`);
    return ((await answer.json()) as { calls: number }).calls;
  }

  async destroy(): Promise<void> {
    // QUIT would wait for kept-alive connections.
    await Promise.all(this.running.map((program) => program.stop("SIGTERM")));
    await rm(this.folder, { recursive: true, force: true });
  }
}
