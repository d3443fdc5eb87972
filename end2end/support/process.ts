// Child processes that stop when the tests end. Each is stopped only by its own process id.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

/** A running program and its output so far. */
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

  /** Starts a program. `environment` replaces the environment of the tests. */
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

  /** Whether the program has exited or could not be started. */
  get ended(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null || !this.child.pid;
  }

  /** Suspends the program until `resume`, so that it appears to hang. */
  pause(): void {
    this.child.kill("SIGSTOP");
  }

  resume(): void {
    this.child.kill("SIGCONT");
  }

  /** Waits until `find` returns a value for the program's output so far, and returns that value. */
  async says<T>(find: (text: string) => T | null | undefined, within = 60_000): Promise<T> {
    const deadline = AbortSignal.timeout(within);
    for (;;) {
      const found = find(this.text);
      if (found !== null && found !== undefined) return found;
      if (this.ended) {
        throw new Error(`${this.name} exited before it was ready:\n${this.text}`);
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

  /** Sends a signal to the program and waits until it exits. Kills it after `within` ms. */
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

/** The outcome of a program. */
export interface Outcome {
  status: number;
  stdout: string;
  stderr: string;
}

/** Runs a program and waits until it exits. */
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
  // A program that doesn't read its input may exit before the input is written.
  child.stdin.on("error", () => {});
  child.stdin.end(options.input ?? "");
  const [status] = (await once(child, "close")) as [number | null];
  return { status: status ?? -1, stdout, stderr };
}
