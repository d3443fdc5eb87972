// Child processes that end when the tests end, stopped by their own id and nobody else's.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

/** A running program and what it has said so far. */
export class Running {
  readonly output: string[] = [];
  private readonly leave = () => this.child.kill("SIGTERM");

  private constructor(
    readonly name: string,
    private readonly child: ChildProcess,
  ) {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => this.output.push(text));
    }
    process.once("exit", this.leave);
  }

  /** Starts a program; `environment` replaces the one of the tests. */
  static start(
    name: string,
    program: string,
    args: string[],
    environment: NodeJS.ProcessEnv = process.env,
  ): Running {
    const child = spawn(program, args, { env: environment, stdio: ["ignore", "pipe", "pipe"] });
    const running = new Running(name, child);
    child.once("error", (error) => running.output.push(`${error}\n`));
    return running;
  }

  get text(): string {
    return this.output.join("");
  }

  get pid(): number | undefined {
    return this.child.pid;
  }

  /** Whether the program has ended, or could not be started. */
  get ended(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null || !this.child.pid;
  }

  /** Stops the program where it is, as one that hangs, until `resume`. */
  pause(): void {
    this.child.kill("SIGSTOP");
  }

  resume(): void {
    this.child.kill("SIGCONT");
  }

  /** Waits until `find` sees what it looks for in everything said so far. */
  async says<T>(find: (text: string) => T | null | undefined, within = 60_000): Promise<T> {
    const deadline = AbortSignal.timeout(within);
    for (;;) {
      const found = find(this.text);
      if (found !== null && found !== undefined) return found;
      if (this.ended) {
        throw new Error(`${this.name} ended before it was ready:\n${this.text}`);
      }
      const heard = new AbortController();
      const signal = AbortSignal.any([deadline, heard.signal]);
      try {
        await Promise.race([
          once(this.child.stdout!, "data", { signal }),
          once(this.child.stderr!, "data", { signal }),
          once(this.child, "exit", { signal }),
        ]);
      } catch (error) {
        if (!deadline.aborted) throw error;
        throw new Error(`${this.name} was not ready within ${within} ms:\n${this.text}`);
      } finally {
        heard.abort();
      }
    }
  }

  /** Asks the program to end and waits until it has. */
  async stop(signal: NodeJS.Signals = "SIGTERM", within = 20_000): Promise<void> {
    process.removeListener("exit", this.leave);
    if (this.ended) return;
    const ended = once(this.child, "exit");
    this.child.kill(signal);
    const late = setTimeout(() => this.child.kill("SIGKILL"), within);
    await ended;
    clearTimeout(late);
  }
}

/** A program's answer. */
export interface Outcome {
  status: number;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end. */
export async function run(
  program: string,
  args: string[],
  options: { input?: string; environment?: NodeJS.ProcessEnv; folder?: string } = {},
): Promise<Outcome> {
  const { environment = process.env, folder } = options;
  const child = spawn(program, args, { env: environment, cwd: folder, stdio: "pipe" });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  // A program that reads no input may be gone before the input is.
  child.stdin.on("error", () => {});
  child.stdin.end(options.input ?? "");
  const [status] = (await once(child, "close")) as [number | null];
  return { status: status ?? -1, stdout, stderr };
}
