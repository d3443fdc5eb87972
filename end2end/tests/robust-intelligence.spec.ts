// The documented clients of Robust Intelligence: Python with `requests`, which calls an API that
// Tessera protects, and the SDK's calls for API tokens, made with curl.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { test, expect } from "../support/fixtures.ts";
import { Gateway } from "../support/gateway.ts";
import { run } from "../support/process.ts";

const file = (name: string) => fileURLToPath(new URL(`../surfaces/${name}`, import.meta.url));

test.skip(({ scripts }) => !scripts, "this test doesn't use a browser");

/** Returns a Python interpreter that has `requests`. */
function python(): string {
  const own = fileURLToPath(new URL("../../target/python/bin/python", import.meta.url));
  return process.env.PYTHON ?? (existsSync(own) ? own : "python3");
}

test("the documented Python script creates a project only with a valid rime-api-key", async ({
  tessera, workspace,
}) => {
  const gateway = await Gateway.start(tessera.url, workspace);
  try {
    const key = await tessera.createToken(workspace, "sdk", ["rivers:run"]);
    const create = async (API_KEY: string) => {
      const environment = { ...process.env, API_KEY, NO_PROXY: "127.0.0.1" };
      const args = [file("robust_intelligence.py"), `${gateway.url}/api/run`];
      const outcome = await run(python(), args, { environment });
      expect(outcome.status, outcome.stderr).toBe(0);
      return JSON.parse(outcome.stdout) as { status: number; body: string };
    };
    const created = await create(key);
    expect(created.status, created.body).toBe(200);
    expect((await create("XYZ")).status).toBe(401);
  } finally {
    await gateway.destroy();
  }
});

test("the SDK's calls create, list and delete API tokens", async ({ tessera, workspace }) => {
  await tessera.cli(["preset", "apply", "robust-intelligence", "--workspace", workspace, "--yes"]);
  const API_KEY = await tessera.cli([
    ...["token", "create", "--workspace", workspace, "--name", "first"],
    ...["--audience", "tessera", "--audience", "default"],
    ...["--scope", "tokens:write", "--scope", "rivers:run"],
  ]);
  const spare = await tessera.createToken(workspace, "spare", ["rivers:run"]);
  const TOKEN_ID = (await tessera.tokens(workspace)).find(({ name }) => name === "spare")!.id;
  const environment = { ...process.env, API_KEY, CLUSTER_URL: tessera.url, TOKEN_ID };
  const outcome = await run("bash", [file("robust_intelligence.sh")], { environment });
  expect(outcome.status, outcome.stderr + outcome.stdout).toBe(0);
  const [created, list, deleted] = outcome.stdout.trim().split("\n").map((line) => JSON.parse(line));
  expect(created.fullApiToken).toMatch(/^tsr_[0-9A-Za-z]{36}$/);
  const infos = list.apiTokenInfos as { name: string; suffix: string; id: unknown }[];
  expect(infos.map(({ name }) => name)).toEqual(["ci", "spare", "first"]);
  expect(infos[0]).toMatchObject({ id: created.id, suffix: created.fullApiToken.slice(-4) });
  expect(infos[1].suffix).toBe(spare.slice(-4));
  expect(deleted).toEqual({});
  expect((await tessera.tokens(workspace)).map(({ name }) => name).sort()).toEqual(["ci", "first"]);
});
