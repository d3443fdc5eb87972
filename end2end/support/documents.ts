// Runs the commands in the pages below docs/ as a reader would: all commands of a page run in
// order, in one shell and one folder that is empty at first.
//
//     ```bash            runs; later blocks see the variables that it sets
//     ```python          runs with python3; it sees the variables that bash has exported
//     ```bash noexec     does not run: for commands that cannot run in a test, such as apt-get
//     ```json, ```text…  is only shown
//
// A page fails if one of its commands fails. The commands find `tessera` on the PATH. TESSERA_URL
// and TESSERA_DATA_DIR name a server that is set up and has the owner admin@example.com.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, open, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

import { ROOT } from "./programs.ts";
import { environment, type Person, Tessera } from "./tessera.ts";

export const OWNER: Person = { name: "Administrator", email: "admin@example.com", password: "violet kettle drums outside" };

/** Languages that this runner rejects, because it would silently skip their commands. */
const MISNAMED = ["sh", "shell", "console", "shell-session", "zsh", "py", "python3"];

/** The time limit for all commands of a page together, in milliseconds. */
const PATIENCE = 240_000;

/** A block of commands. */
export interface Block {
  language: "bash" | "python";
  /** The line number of its first command. */
  line: number;
  text: string;
}

/** Returns the blocks of a page that the runner executes. */
export function blocks(page: string): Block[] {
  const found: Block[] = [];
  const lines = page.split("\n");
  for (let index = 0; index < lines.length; index += 1) {
    const fence = /^(\s*)(`{3,}|~{3,})\s*(.*)$/.exec(lines[index]);
    if (!fence) continue;
    const [, indent, marks, info] = fence;
    const begin = index + 1;
    const ends = (line: string) => line.trim().startsWith(marks) && /^[`~]+$/.test(line.trim());
    const length = lines.slice(begin).findIndex(ends);
    if (length < 0) throw new Error(`line ${begin}: the block is not closed`);
    index = begin + length;
    const [language, ...words] = info.trim().split(/\s+/);
    if (MISNAMED.includes(language)) throw new Error(`line ${begin}: "${language}" blocks don't run; use bash or python`);
    if (language !== "bash" && language !== "python") continue;
    if (words.some((word) => word !== "noexec")) throw new Error(`line ${begin}: unknown option "${words.join(" ")}"`);
    if (words.includes("noexec")) continue;
    // In a list, the lines of a block are indented like its fence.
    const own = lines.slice(begin, index).map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line));
    found.push({ language, line: begin + 1, text: `${own.join("\n")}\n` });
  }
  return found;
}

/** The outcome of a page's commands. */
export interface Outcome {
  /** The number of blocks that were started. */
  begun: number;
  /** The place of the failure and the output of the failed block. */
  failure?: string;
}

/** Runs the blocks of the page `name` against `tessera`. */
export async function runBlocks(name: string, blocks: Block[], tessera: Tessera): Promise<Outcome> {
  const folder = await mkdtemp(path.join(tmpdir(), "tessera-docs-"));
  const place = (part: string) => path.join(folder, part);
  await Promise.all(["bin", "blocks", "home"].map((part) => mkdir(place(part))));
  await symlink(Tessera.binary(), place("bin/tessera"));

  // Pad each file so that error messages report the line numbers of commands in the page.
  const file = (index: number) => place(`blocks/${index}/${path.basename(name)}`);
  for (const [index, block] of blocks.entries()) {
    await mkdir(path.dirname(file(index)));
    await writeFile(file(index), "\n".repeat(block.line - 1) + block.text);
  }
  const script = blocks.map(({ language }, index) =>
    [
      `exec >'${place(`blocks/${index}/output`)}' 2>&1`,
      language === "bash" ? `source '${file(index)}'` : `python3 '${file(index)}'`,
    ].join("\n"),
  );
  await writeFile(place("blocks/all"), ["set -euo pipefail", ...script, ""].join("\n"));

  const paths = [place("bin"), path.join(ROOT, "target/python/bin"), process.env.PATH];
  const output = await open(place("blocks/output"), "w");
  // The shell gets its own process group, so that the page's background processes can be killed.
  const shell = spawn("bash", ["--noprofile", "--norc", place("blocks/all")], {
    cwd: place("home"),
    detached: true,
    env: {
      ...environment(),
      PATH: paths.join(":"),
      HOME: place("home"),
      NO_PROXY: "127.0.0.1",
      no_proxy: "127.0.0.1",
      TESSERA_URL: tessera.url,
      TESSERA_DATA_DIR: tessera.dataDir,
    },
    stdio: ["ignore", output.fd, output.fd],
  });
  const end = () => {
    try {
      if (shell.pid) process.kill(-shell.pid, "SIGKILL");
    } catch {
      // The process group has already exited.
    }
  };
  process.once("exit", end);
  const late = setTimeout(end, PATIENCE);
  try {
    const [status] = (await once(shell, "exit")) as [number | null];
    const printed = await Promise.all(
      blocks.map((_, index) => readFile(place(`blocks/${index}/output`), "utf8").catch(() => undefined)),
    );
    const begun = printed.filter((text) => text !== undefined).length;
    if (status === 0) return { begun };
    const reason = status === null ? `timed out after ${PATIENCE / 1_000} s` : `failed with status ${status}`;
    const where = begun === 0 ? "before its first block" : `the block at line ${blocks[begun - 1].line}`;
    const said = begun === 0 ? await readFile(place("blocks/output"), "utf8") : printed[begun - 1];
    return { begun, failure: `${name}: ${where} ${reason}:\n${said}` };
  } finally {
    clearTimeout(late);
    process.removeListener("exit", end);
    end();
    await output.close();
    await rm(folder, { recursive: true, force: true });
  }
}
