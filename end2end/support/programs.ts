// Where the programs are that tests run beside Tessera.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");

/** What tools/setup.sh installs for this project alone. */
const OWN = path.join(ROOT, "target/python/bin");

/** A program: the one that a variable of its name names (CADDY for caddy), the project's own, or
 * the system's. */
export function program(name: string): string {
  const own = path.join(OWN, name);
  return process.env[name.toUpperCase()] ?? (existsSync(own) ? own : name);
}

/** Whether that program is there. */
export function isThere(name: string): boolean {
  return !spawnSync(program(name), ["--version"], { stdio: "ignore" }).error;
}
