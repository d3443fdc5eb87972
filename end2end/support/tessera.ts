// Tessera itself: the binary that users run, with its own database in a temporary data folder.
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

import { expect } from "@playwright/test";

import { freePorts } from "./ports.ts";
import { type Outcome, Running, run } from "./process.ts";
import { ROOT } from "./programs.ts";

export interface Person {
  name: string;
  email: string;
  password: string;
}

export const ADMIN: Person = { name: "Ada Lovelace", email: "ada@example.com", password: "violet kettle drums outside" };

/** The environment without settings of Tessera that the caller's shell may have. */
export function environment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(TESSERA_|PG|DATABASE_URL$)/.test(name)),
  );
}

/** A token as the command line lists it, as far as tests look at it. */
export interface ListedToken {
  id: string;
  name: string;
  description: string;
  scopes: string[];
}

/** A server, its data folder and its command line. */
export class Tessera {
  private server: Running | undefined;
  /** The one-time link of a first start. */
  setupLink: string | undefined;

  private constructor(
    private readonly folder: string,
    readonly port: number,
  ) {}

  static binary(): string {
    return process.env.TESSERA_BINARY ?? path.join(ROOT, "target/release/tessera");
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get dataDir(): string {
    return path.join(this.folder, "data");
  }

  /** Everything that the server has logged since it was last started. */
  get log(): string {
    return this.server?.text ?? "";
  }

  /** A new instance, as after a fresh installation: nobody has set it up. */
  static async start(): Promise<Tessera> {
    const folder = await mkdtemp(path.join(tmpdir(), "tessera-e2e-"));
    // Started as root, the database runs as another user, who must get through to its files.
    await chmod(folder, 0o755);
    const [port] = await freePorts(1);
    const tessera = new Tessera(folder, port);
    await tessera.serve();
    const link = (text: string) => text.match(/(https?:\/\/\S+\/setup\/\S+)\r?\n/)?.[1];
    tessera.setupLink = await tessera.server!.says(link);
    return tessera;
  }

  /** A new instance with an administrator and the workspace "Workspace 1". */
  static async startWithAdmin({ email, name, password } = ADMIN): Promise<Tessera> {
    const tessera = await Tessera.start();
    await tessera.cli(["admin", "create", "--email", email, "--name", name], password);
    return tessera;
  }

  /** Starts the server again, at the same address and with yesterday's data. */
  async serve(): Promise<void> {
    const args = ["serve", "--listen", `127.0.0.1:${this.port}`, "--data-dir", this.dataDir];
    // As the README says for nginx on the same machine.
    args.push("--trusted-proxies", "127.0.0.1");
    this.server = Running.start("tessera serve", Tessera.binary(), args, environment());
    await this.server.says((text) => text.includes(this.url) || null);
    await this.ready();
  }

  private async ready(): Promise<void> {
    const status = () => fetch(`${this.url}/readyz`).then((answer) => answer.status, () => 0);
    await expect.poll(status, { message: "/readyz", timeout: 30_000 }).toBe(200);
  }

  /** The server hangs: it takes connections and answers nothing, until `resume`. */
  pause(): void {
    this.server?.pause();
  }

  resume(): void {
    this.server?.resume();
  }

  /** Stops the server; its data stay. */
  async stop(): Promise<void> {
    await this.server?.stop();
    this.server = undefined;
  }

  /** Stops the server and removes its data. */
  async destroy(): Promise<void> {
    await this.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** A command on the same data, whatever its outcome. */
  async tryCli(args: string[], input?: string): Promise<Outcome> {
    const place = { ...environment(), TESSERA_DATA_DIR: this.dataDir };
    return run(Tessera.binary(), args, { input, environment: place });
  }

  /** A command on the same data that must succeed; answers what it printed. */
  async cli(args: string[], input?: string): Promise<string> {
    const outcome = await this.tryCli(args, input);
    if (outcome.status !== 0) {
      throw new Error(`tessera ${args.join(" ")}: ${outcome.status}\n${outcome.stderr}${outcome.stdout}`);
    }
    return outcome.stdout.trim();
  }

  /** A new workspace; its slug. */
  async createWorkspace(slug: string, name = slug): Promise<string> {
    await this.cli(["workspace", "create", "--slug", slug, "--name", name]);
    return slug;
  }

  /** A new token; its secret. */
  async createToken(workspace: string, name: string, scopes: string[], more: string[] = []): Promise<string> {
    return this.cli([
      ...["token", "create", "--workspace", workspace, "--name", name, "--audience", "default"],
      ...scopes.flatMap((scope) => ["--scope", scope]),
      ...more,
    ]);
  }

  /** The tokens of a workspace, as the command line lists them. */
  async tokens(workspace: string): Promise<ListedToken[]> {
    const listed = await this.cli(["token", "list", "--workspace", workspace, "--json"]);
    return JSON.parse(listed) as ListedToken[];
  }
}
