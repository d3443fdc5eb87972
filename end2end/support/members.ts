// Creates people with other roles. Tests write them directly into the instance's database, with the
// administrator's password.
import { randomUUID } from "node:crypto";
import { readdir } from "node:fs/promises";

import { run } from "./process.ts";
import { ADMIN, type Tessera } from "./tessera.ts";

/** Returns the folder of the embedded database's socket, which is below the data folder. */
async function socketFolder(tessera: Tessera): Promise<string> {
  const entries = await readdir(tessera.dataDir, { withFileTypes: true, recursive: true });
  const socket = entries.find((entry) => /^\.s\.PGSQL\.\d+$/.test(entry.name));
  if (!socket) throw new Error(`no database socket below ${tessera.dataDir}`);
  return socket.parentPath;
}

/** Runs SQL in the instance's database and returns its output. */
export async function sql(tessera: Tessera, statement: string): Promise<string> {
  const socket = await socketFolder(tessera);
  const place = ["--host", socket, "--username", "tessera", "--dbname", "tessera"];
  const args = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1", ...place];
  const outcome = await run("psql", args, { input: statement });
  if (outcome.status !== 0) throw new Error(`${outcome.stderr}\n${statement}`);
  return outcome.stdout.trim();
}

const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`;

/** Creates a person with the instance role `member`, who is in one workspace or in none. */
export async function createMember(
  tessera: Tessera,
  email: string,
  membership?: { workspace: string; role: "admin" | "member" | "viewer" | "verifier" },
): Promise<{ email: string; password: string }> {
  const id = quoted(randomUUID());
  const statements = [
    `INSERT INTO users (id, kind, email, name, password_hash, instance_role, created_at, updated_at)
     SELECT ${id}, 'person', ${quoted(email)}, 'Grace Hopper', password_hash, 'member', now(), now()
     FROM users WHERE email = ${quoted(ADMIN.email)};`,
  ];
  if (membership) {
    statements.push(
      `INSERT INTO memberships (workspace_id, user_id, role, created_at)
       SELECT id, ${id}, ${quoted(membership.role)}, now() FROM workspaces WHERE slug = ${quoted(membership.workspace)};`,
    );
  }
  await sql(tessera, statements.join("\n"));
  return { email, password: ADMIN.password };
}
