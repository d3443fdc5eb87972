// Finds the programs that tests run besides Tessera.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");

/** The folder of the programs that tools/setup.sh installs only for this project. */
const OWN = path.join(ROOT, "target/python/bin");

/** Returns the path of a program: the value of the variable with its name (CADDY for caddy), else
 * the project's own program, else the system's. */
export function program(name: string): string {
  const own = path.join(OWN, name);
  return process.env[name.toUpperCase()] ?? (existsSync(own) ? own : name);
}

/** Returns whether the program can be run. */
export function isThere(name: string): boolean {
  return !spawnSync(program(name), ["--version"], { stdio: "ignore" }).error;
}
