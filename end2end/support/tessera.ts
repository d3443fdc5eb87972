// Runs the Tessera binary that users run, with its own database in a temporary data folder.
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

/** Returns the environment without Tessera and PostgreSQL settings from the caller's shell. */
export function environment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(TESSERA_|PG|DATABASE_URL$)/.test(name)),
  );
}

/** The fields of a token in the output of the command line that tests use. */
export interface ListedToken {
  id: string;
  name: string;
  description: string;
  scopes: string[];
}

/** A server with its data folder and its command line. */
export class Tessera {
  private server: Running | undefined;
  /** The one-time setup link that the first start prints. */
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

  /** The server's log since its last start. */
  get log(): string {
    return this.server?.text ?? "";
  }

  /** Starts a new instance that is not set up, as after a fresh installation. */
  static async start(): Promise<Tessera> {
    const folder = await mkdtemp(path.join(tmpdir(), "tessera-e2e-"));
    // As root, the server runs the database as another user, which needs access to the files.
    await chmod(folder, 0o755);
    const [port] = await freePorts(1);
    const tessera = new Tessera(folder, port);
    await tessera.serve();
    const link = (text: string) => text.match(/(https?:\/\/\S+\/setup\/\S+)\r?\n/)?.[1];
    tessera.setupLink = await tessera.server!.says(link);
    return tessera;
  }

  /** Starts a new instance with an administrator and the workspace "Workspace 1". */
  static async startWithAdmin({ email, name, password } = ADMIN): Promise<Tessera> {
    const tessera = await Tessera.start();
    await tessera.cli(["admin", "create", "--email", email, "--name", name], password);
    return tessera;
  }

  /** Starts the server, always at the same address and with the same data. */
  async serve(): Promise<void> {
    const args = ["serve", "--listen", `127.0.0.1:${this.port}`, "--data-dir", this.dataDir];
    // The setting that the documentation recommends for nginx on the same machine.
    args.push("--trusted-proxies", "127.0.0.1");
    this.server = Running.start("tessera serve", Tessera.binary(), args, environment());
    await this.server.says((text) => text.includes(this.url) || null);
    await this.ready();
  }

  private async ready(): Promise<void> {
    const status = () => fetch(`${this.url}/readyz`).then((answer) => answer.status, () => 0);
    await expect.poll(status, { message: "/readyz", timeout: 30_000 }).toBe(200);
  }

  /** Makes the server hang until `resume`: it accepts connections, but does not respond. */
  pause(): void {
    this.server?.pause();
  }

  resume(): void {
    this.server?.resume();
  }

  /** Stops the server and keeps its data. */
  async stop(): Promise<void> {
    await this.server?.stop();
    this.server = undefined;
  }

  /** Stops the server and removes its data. */
  async destroy(): Promise<void> {
    await this.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** Runs a command on the same data and returns its outcome, even if it fails. */
  async tryCli(args: string[], input?: string): Promise<Outcome> {
    const place = { ...environment(), TESSERA_DATA_DIR: this.dataDir };
    return run(Tessera.binary(), args, { input, environment: place });
  }

  /** Runs a command on the same data that must succeed, and returns its output. */
  async cli(args: string[], input?: string): Promise<string> {
    const outcome = await this.tryCli(args, input);
    if (outcome.status !== 0) {
      throw new Error(`tessera ${args.join(" ")}: ${outcome.status}\n${outcome.stderr}${outcome.stdout}`);
    }
    return outcome.stdout.trim();
  }

  /** Creates a workspace and returns its slug. */
  async createWorkspace(slug: string, name = slug): Promise<string> {
    await this.cli(["workspace", "create", "--slug", slug, "--name", name]);
    return slug;
  }

  /** Creates a token and returns its secret. */
  async createToken(workspace: string, name: string, scopes: string[], more: string[] = []): Promise<string> {
    return this.cli([
      ...["token", "create", "--workspace", workspace, "--name", name, "--audience", "default"],
      ...scopes.flatMap((scope) => ["--scope", scope]),
      ...more,
    ]);
  }

  /** Returns the tokens of a workspace as the command line lists them. */
  async tokens(workspace: string): Promise<ListedToken[]> {
    const listed = await this.cli(["token", "list", "--workspace", workspace, "--json"]);
    return JSON.parse(listed) as ListedToken[];
  }
}
