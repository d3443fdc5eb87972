// Real gateways in front of a small API, each with the exact configuration in docs/gateways.md.
import { existsSync } from "node:fs";
import { chmod, copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout } from "node:timers/promises";

import { freePorts } from "./ports.ts";
import { Running } from "./process.ts";
import { program, ROOT } from "./programs.ts";

const HERE = path.join(ROOT, "end2end/gateway");

export const KINDS = ["nginx", "caddy", "traefik", "envoy"] as const;
export type Kind = (typeof KINDS)[number];

/** The documented files of each gateway, by their names in end2end/gateway. */
export const FILES: Record<Kind, string[]> = {
  nginx: ["nginx.conf"],
  caddy: ["Caddyfile"],
  traefik: ["traefik.yaml", "traefik-tessera.yaml"],
  envoy: ["envoy.yaml"],
};

/** The documented files that a location in nginx can include. */
export const PARAMS = ["proxy", "grpc", "fastcgi", "uwsgi", "scgi"].map((kind) => `tessera_${kind}_params`);

/** The text before each port in the documented configuration. Tests use free ports instead. */
const PORTS: Record<Kind, { listen: string; tessera: string; api: string }> = {
  nginx: { listen: "listen 127.0.0.1:", tessera: "server 127.0.0.1:", api: "server 127.0.0.1:" },
  caddy: { listen: "http://:", tessera: "forward_auth 127.0.0.1:", api: "reverse_proxy 127.0.0.1:" },
  traefik: { listen: "address: 127.0.0.1:", tessera: "http://127.0.0.1:", api: "http://127.0.0.1:" },
  envoy: { listen: "port_value: ", tessera: "port_value: ", api: "port_value: " },
};

/** Changes a documented file, before its ports are replaced. */
export type Edit = (file: string, text: string) => string;

/** Returns the command that starts a gateway with the files in `folder`. */
async function command(kind: Kind, folder: string): Promise<{ args: string[]; environment?: NodeJS.ProcessEnv }> {
  const config = path.join(folder, FILES[kind][0]);
  switch (kind) {
    case "nginx":
      return { args: ["-p", folder, "-c", await nginxMain(folder, config), "-e", "stderr"] };
    case "caddy":
      // Keep Caddy's admin socket and data files in the folder.
      return {
        args: ["run", "--config", config, "--adapter", "caddyfile"],
        environment: {
          ...process.env,
          CADDY_ADMIN: `unix/${path.join(folder, "admin.sock")}`,
          HOME: folder,
          XDG_CONFIG_HOME: folder,
          XDG_DATA_HOME: folder,
        },
      };
    case "traefik":
      return { args: [`--configFile=${config}`] };
    case "envoy":
      return { args: ["-c", config, "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"] };
  }
}

/** Writes a main configuration like Debian's nginx.conf, with all files in the test's folder. */
async function nginxMain(folder: string, site: string): Promise<string> {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  const main = [
    "daemon off;",
    "worker_processes 1;",
    "pid main.pid;",
    "error_log stderr notice;",
    "events {}",
    "http {",
    "  access_log off;",
    ...temporary.map((kind) => `  ${kind}_temp_path ${path.join(folder, kind)};`),
    `  include ${site};`,
    "}",
  ];
  const config = path.join(folder, "main.conf");
  await writeFile(config, `${main.join("\n")}\n`);
  return config;
}

/** Copies the files that locations include: the documented ones and those that come with nginx. */
async function copyParams(folder: string): Promise<void> {
  const systems = ["fastcgi", "uwsgi", "scgi"].map((kind) => `/etc/nginx/${kind}_params`).filter((file) => existsSync(file));
  const files = [...PARAMS.map((file) => path.join(HERE, file)), ...systems];
  await Promise.all(files.map((file) => copyFile(file, path.join(folder, path.basename(file)))));
}

/** Replaces every occurrence of `place` with `value`. Throws if `place` does not occur. */
function replace(text: string, place: string, value: string): string {
  if (!text.includes(place)) throw new Error(`"${place}" does not occur`);
  return text.replaceAll(place, value);
}

/** Replaces the documented port that follows `before`. */
function move(text: string, before: string, documented: number, port: number | string): string {
  const place = new RegExp(`${before.replaceAll(".", "\\.")}${documented}(?!\\d)`, "g");
  return replace(text.replaceAll(place, `${before}\0`), `${before}\0`, `${before}${port}`);
}

export class Gateway {
  private constructor(
    private readonly folder: string,
    private readonly port: number,
    private readonly apiPort: number,
    private readonly program: Running,
    private readonly api: Running | undefined,
  ) {}

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** The gateway's output so far. */
  get log(): string {
    return this.program.text;
  }

  /** Starts a gateway that verifies tokens of `workspace` at `tessera`. Also starts the API, unless
   * one runs at port `api`. */
  static async start(
    tessera: string,
    workspace: string,
    kind: Kind = "nginx",
    edit: Edit = (_, text) => text,
    api?: number,
  ): Promise<Gateway> {
    const folder = await mkdtemp(path.join(tmpdir(), "tessera-gateway-"));
    await chmod(folder, 0o755);
    const [port, freePort] = await freePorts(2);
    const apiPort = api ?? freePort;
    const places = PORTS[kind];
    // Join the files, because an address can be in any of them.
    const separator = "\n\0\n";
    const documented = await Promise.all(FILES[kind].map((file) => readFile(path.join(HERE, file), "utf8")));
    let text = FILES[kind].map((file, index) => edit(file, documented[index])).join(separator);
    text = move(text, places.listen, 8000, port);
    text = move(text, places.tessera, 3000, new URL(tessera).port);
    text = move(text, places.api, 8080, apiPort);
    text = replace(text, "workspace=workspace-1&", `workspace=${encodeURIComponent(workspace)}&`);
    if (kind === "traefik") text = replace(text, "/etc/traefik/", `${folder}/`);
    const files = text.split(separator);
    await Promise.all(FILES[kind].map((file, index) => writeFile(path.join(folder, file), files[index])));
    if (kind === "nginx") await copyParams(folder);

    const { args, environment } = await command(kind, folder);
    const upstream = [path.join(HERE, "upstream.mjs"), `${apiPort}`];
    const own = api === undefined ? Running.start("the API", process.execPath, upstream) : undefined;
    const running = Running.start(kind, program(kind), args, environment);
    const gateway = new Gateway(folder, port, apiPort, running, own);
    try {
      await own?.says((said) => said.includes("listening") || null);
      await gateway.ready();
    } catch (error) {
      await gateway.destroy();
      throw error;
    }
    return gateway;
  }

  /** Waits until the documented configuration is active, which the response to a request without a
   * token shows. */
  private async ready(): Promise<void> {
    const url = `${this.url}/api/run`;
    for (let tries = 0; tries < 300 && !this.program.ended; tries += 1) {
      const answer = await fetch(url, { method: "POST" }).catch(() => undefined);
      await answer?.arrayBuffer();
      // Traefik returns 404 until it has read its second file.
      if (answer && answer.status !== 404) return;
      await setTimeout(50);
    }
    throw new Error(`the gateway did not become ready:\n${this.log}`);
  }

  /** Returns the number of requests that have reached the API behind the gateway. */
  async callsLetThrough(): Promise<number> {
    const answer = await fetch(`http://127.0.0.1:${this.apiPort}/calls`);
    return ((await answer.json()) as { calls: number }).calls;
  }

  async destroy(): Promise<void> {
    // Use SIGTERM, because nginx waits for keep-alive connections after SIGQUIT.
    await Promise.all([this.program, this.api].map((running) => running?.stop("SIGTERM")));
    await rm(this.folder, { recursive: true, force: true });
  }
}
