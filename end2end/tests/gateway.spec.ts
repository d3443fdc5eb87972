// nginx before an API, with the configuration that the README shows: what gets through, what does
// not, and what the API is told. No page is opened, so one project is enough.
import { readFile } from "node:fs/promises";

import { curl } from "../support/callers.ts";
import { test as base, expect } from "../support/fixtures.ts";
import { Gateway } from "../support/gateway.ts";
import { run } from "../support/process.ts";
import { ADMIN } from "../support/tessera.ts";

const ID = /^[0-9a-f]{8}-[0-9a-f-]{27}$/;

const test = base.extend<{ gateway: Gateway; api: string }>({
  gateway: async ({ tessera, workspace }, use) => {
    const gateway = await Gateway.start(tessera.url, workspace);
    await use(gateway);
    await gateway.destroy();
  },
  api: async ({ gateway }, use) => use(`${gateway.url}/api/run`),
});

test.skip(({ scripts }) => !scripts, "no browser takes part");

function told(body: string): [string, string][] {
  return (JSON.parse(body) as { headers: [string, string][] }).headers;
}

test("a good token gets through and the API learns who calls", async ({ tessera, workspace, api }) => {
  const token = await tessera.createToken(workspace, "runner", ["rivers:run"]);
  const answer = await curl(api, token);
  expect(answer.status, answer.body).toBe(200);
  const identity = told(answer.body).filter(([name]) => name.startsWith("x-tessera-"));
  expect(Object.fromEntries(identity)).toEqual({
    "x-tessera-token-id": expect.stringMatching(ID),
    "x-tessera-user": ADMIN.email,
    "x-tessera-user-id": expect.stringMatching(ID),
    "x-tessera-workspace": workspace,
    "x-tessera-scopes": expect.stringMatching(/\brivers:run\b/),
  });
});

test("identity headers of the caller's own making never reach the API", async ({ tessera, workspace, api }) => {
  const token = await tessera.createToken(workspace, "runner", ["rivers:run"]);
  const spoofed = ["Token-Id", "User", "User-Id", "Workspace", "Scopes", "Code"].flatMap((name) => [
    ...["-H", `X-Tessera-${name}: evil`],
    ...["-H", `x-tessera-${name.toLowerCase()}: evil`],
  ]);
  const answer = await curl(api, token, [...spoofed, "-H", "X-Forwarded-For: 10.9.8.7"]);
  expect(answer.status).toBe(200);
  expect(answer.body).not.toContain("evil");
  expect(answer.body).not.toContain("10.9.8.7");
});

test("the token itself does not reach the API", async ({ tessera, workspace, api }) => {
  const token = await tessera.createToken(workspace, "runner", ["rivers:run"]);
  for (const header of ["Token", "rime-api-key"]) {
    const answer = await curl(api, undefined, ["-H", `${header}: ${token}`]);
    expect(answer.status, `${header}: ${answer.body}`).toBe(200);
    expect(answer.body).not.toContain(token);
  }
  expect((await curl(api, token)).body).not.toContain(token);
});

test("a token that lacks the scope is forbidden, and told which", async ({ tessera, workspace, api, gateway }) => {
  const token = await tessera.createToken(workspace, "reader", ["rivers:read"]);
  const answer = await curl(api, token);
  expect(answer.status).toBe(403);
  expect(answer.headers.get("www-authenticate")).toContain('error="insufficient_scope"');
  expect(answer.headers.get("content-type")).toBe("application/problem+json");
  expect(await gateway.callsLetThrough()).toBe(0);
});

test("no token, no token of ours and a mistyped one are asked to authenticate", async ({
  tessera, workspace, api, gateway,
}) => {
  const token = await tessera.createToken(workspace, "runner", ["rivers:run"]);
  const mistyped = token.slice(0, 10) + (token[10] === "x" ? "y" : "x") + token.slice(11);
  for (const presented of [undefined, "XYZ", "", mistyped, `${token}0`, "tsr_" + "0".repeat(36)]) {
    const answer = await curl(api, presented);
    expect(answer.status, presented).toBe(401);
    expect(answer.headers.get("www-authenticate"), presented).toMatch(/^Bearer/i);
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
  }
  expect(await gateway.callsLetThrough()).toBe(0);
});

test("a token of another workspace or another API is not known here", async ({
  tessera, workspace, api, gateway,
}) => {
  const elsewhere = await tessera.createToken("workspace-1", "runner", ["rivers:run"]);
  expect((await curl(api, elsewhere)).status).toBe(401);
  const manager = ["token", "create", "--workspace", workspace, "--name", "manager", "--audience", "tessera"];
  const otherApi = await tessera.cli([...manager, "--scope", "tokens:read"]);
  expect((await curl(api, otherApi)).status).toBe(401);
  expect(await gateway.callsLetThrough()).toBe(0);
});

test("a token that is bound to addresses is refused from others, whatever the caller claims", async ({
  tessera, workspace, api,
}) => {
  const bound = (name: string, network: string) =>
    tessera.createToken(workspace, name, ["rivers:run"], ["--ip-allow", network]);
  const here = await bound("here", "127.0.0.0/8");
  const elsewhere = await bound("elsewhere", "10.0.0.0/8");
  expect((await curl(api, here)).status).toBe(200);
  expect((await curl(api, elsewhere)).status).toBe(403);
  for (const claim of ["X-Forwarded-For: 10.1.2.3", "X-Real-IP: 10.1.2.3", "Forwarded: for=10.1.2.3"]) {
    expect((await curl(api, elsewhere, ["-H", claim])).status, claim).toBe(403);
  }
});

test("two different tokens in one call are refused", async ({ tessera, workspace, api, gateway }) => {
  const one = await tessera.createToken(workspace, "one", ["rivers:run"]);
  const two = await tessera.createToken(workspace, "two", ["rivers:run"]);
  expect((await curl(api, one, ["-H", `Token: ${two}`])).status).toBe(401);
  expect(await gateway.callsLetThrough()).toBe(0);
});

test("a deleted token is refused by the very next call", async ({ tessera, workspace, api }) => {
  const token = await tessera.createToken(workspace, "runner", ["rivers:run"]);
  expect((await curl(api, token)).status).toBe(200);
  const [{ id }] = await tessera.tokens(workspace);
  await tessera.cli(["token", "delete", id]);
  expect((await curl(api, token)).status).toBe(401);
});

test("paths that name no scope, other methods and the question itself stay closed", async ({
  tessera, workspace, api, gateway,
}) => {
  const token = await tessera.createToken(workspace, "runner", ["rivers:run"]);
  expect((await curl(`${gateway.url}/api/rivers`, token)).status).toBe(404);
  expect((await curl(`${gateway.url}/_tessera`, token)).status).toBe(404);
  expect((await curl(`${gateway.url}/auth/forward`, token)).status).toBe(404);
  expect((await curl(api, token, ["-X", "GET"])).status).toBe(405);
  expect(await gateway.callsLetThrough()).toBe(0);
});

test("without Tessera everything is refused, and with it again nothing else is needed", async ({
  tessera, workspace, api, gateway,
}) => {
  const token = await tessera.createToken(workspace, "runner", ["rivers:run"]);
  expect((await curl(api, token)).status).toBe(200);
  await tessera.stop();
  try {
    const answer = await curl(api, token);
    expect(answer.status).toBe(503);
    expect(answer.headers.get("retry-after")).toBeDefined();
    expect((await curl(api, undefined)).status).toBe(503);
    expect(await gateway.callsLetThrough()).toBe(1);
  } finally {
    await tessera.serve();
  }
  // nginx asks a server that failed again after its fail_timeout of 10 s.
  await expect.poll(async () => (await curl(api, token)).status, { timeout: 20_000 }).toBe(200);
});

test("what the README shows is in this very configuration", async () => {
  const lines = async (path: string) =>
    (await readFile(new URL(path, import.meta.url), "utf8")).split("\n").map((line) => line.trim());
  const configuration = await lines("../gateway/nginx.conf");
  const readme = await lines("../../README.md");
  const begin = readme.indexOf("```nginx");
  expect(begin).toBeGreaterThan(0);
  const shown = readme.slice(begin + 1, readme.indexOf("```", begin)).filter((line) => line !== "");
  expect(shown.length).toBeGreaterThan(5);
  let from = 0;
  for (const line of shown) {
    const found = configuration.indexOf(line, from);
    expect(found, `"${line}", in this order`).toBeGreaterThanOrEqual(from);
    from = found + 1;
  }
});

test("nginx itself finds the configuration correct", async ({ gateway }) => {
  expect(gateway.log).not.toMatch(/\[(emerg|alert|crit|error|warn)\]/);
  expect((await run("nginx", ["-v"])).status).toBe(0);
});
