// Unchanged clients of Kriten: curl and Python's `requests` call Tessera and an API behind nginx at
// one address, as in docs/coming-from-kriten.md. The tests open no page.
import { readFile } from "node:fs/promises";
import path from "node:path";

import { python } from "../support/callers.ts";
import { expect, testWithOwnInstance } from "../support/fixtures.ts";
import { Gateway } from "../support/gateway.ts";
import { run } from "../support/process.ts";
import { ROOT } from "../support/programs.ts";
import { ADMIN, Tessera } from "../support/tessera.ts";

const ID = /^[0-9a-f]{8}-[0-9a-f-]{27}$/;
const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/;
const NEVER = "0001-01-01T00:00:00Z";

interface Answer {
  status: number;
  body: unknown;
}

/** Starts an instance and applies the preset to its workspace. */
async function startKriten(): Promise<Tessera> {
  const tessera = await Tessera.startWithAdmin();
  await tessera.cli(["preset", "apply", "kriten", "--workspace", "workspace-1", "--yes"]);
  return tessera;
}

/** Returns the locations in the documentation. */
async function documented(): Promise<string> {
  const page = await readFile(path.join(ROOT, "docs/coming-from-kriten.md"), "utf8");
  const block = /```nginx\n(.*?)```/s.exec(page)?.[1];
  if (!block) throw new Error("docs/coming-from-kriten.md has no nginx configuration");
  return block;
}

const test = testWithOwnInstance(startKriten).extend<object, { gateway: Gateway }>({
  gateway: [
    async ({ tessera }, use) => {
      const locations = await documented();
      const place = "    location / {";
      const gateway = await Gateway.start(tessera.url, "workspace-1", "nginx", (_, text) => {
        if (text.split(place).length !== 2) throw new Error(`nginx.conf must contain "${place}" once`);
        return text.replace(place, () => `${locations}\n${place}`);
      });
      await use(gateway);
      await gateway.destroy();
    },
    { scope: "worker" },
  ],
});

test.skip(({ scripts }) => !scripts, "this test doesn't use a browser");

function environment(gateway: Gateway): NodeJS.ProcessEnv {
  return {
    ...process.env,
    KRITEN_URL: gateway.url,
    KRITEN_USERNAME: ADMIN.email,
    KRITEN_PASSWORD: ADMIN.password,
  };
}

test("curl takes a token through its lifecycle as Kriten documents it", async ({ tessera, gateway }) => {
  const script = path.join(ROOT, "end2end/surfaces/kriten.sh");
  const outcome = await run("bash", [script], { environment: environment(gateway) });
  expect(outcome.status, outcome.stderr).toBe(0);
  const lines = outcome.stdout.trimEnd().split("\n").map((line) => line.split("\t"));
  const answers = new Map<string, Answer>(
    lines.map(([name, status, body]) => [name, { status: Number(status), body: JSON.parse(body) as unknown }]),
  );
  const body = (name: string) => answers.get(name)?.body as Record<string, unknown>;

  const token = {
    id: expect.stringMatching(ID),
    owner: expect.stringMatching(ID),
    description: "My persional API Token",
    created_at: expect.stringMatching(MOMENT),
    updated_at: expect.stringMatching(MOMENT),
    expires: NEVER,
    enabled: true,
  };
  expect(answers.get("login")).toEqual({ status: 200, body: { token: expect.stringMatching(/^[\w-]{43}$/) } });
  expect(answers.get("documented")).toEqual({
    status: 200,
    body: { ...token, key: expect.stringMatching(/^kri_[0-9A-Za-z]{36}$/), expires: "2024-09-13T13:54:06Z" },
  });
  expect(answers.get("expired")?.status).toBe(401);
  expect(answers.get("update")).toEqual({ status: 200, body: token });
  expect(answers.get("own")).toEqual({ status: 200, body: [token] });
  expect(answers.get("all")).toEqual({ status: 200, body: [token] });
  expect(answers.get("disable")).toEqual({ status: 200, body: { ...token, enabled: false } });
  expect(answers.get("disabled")).toEqual({ status: 401, body: { error: "token not enabled" } });
  expect(answers.get("enable")).toEqual({ status: 200, body: token });
  expect(answers.get("delete")).toEqual({ status: 200, body: { msg: "apiToken deleted successfully" } });
  expect(answers.get("deleted")).toEqual({ status: 401, body: { error: "invalid token" } });
  expect(answers.get("refused")?.status).toBe(401);

  // The documented call reached the API with the caller's identity, but without the token.
  expect(answers.get("runners")?.status).toBe(200);
  const heard = body("runners") as { method: string; url: string; headers: [string, string][] };
  expect([heard.method, heard.url]).toEqual(["GET", "/api/v1/runners"]);
  const told = new Map(heard.headers);
  expect(told.get("x-tessera-user")).toBe(ADMIN.email);
  expect(told.get("x-tessera-token-id")).toBe(body("documented").id);
  expect(told.get("x-tessera-scopes")).toContain("operations:read");
  const key = body("documented").key as string;
  expect(JSON.stringify(heard)).not.toContain(key);
  expect(tessera.log).not.toContain(key);
  expect(tessera.log).not.toContain(ADMIN.password);
  expect(await tessera.tokens("workspace-1")).toEqual([]);
});

test("Python's requests takes a token through its lifecycle", async ({ tessera, gateway }) => {
  const script = path.join(ROOT, "end2end/surfaces/kriten.py");
  const outcome = await run(python(), [script], { environment: environment(gateway) });
  expect(outcome.status, outcome.stderr).toBe(0);
  const answers = JSON.parse(outcome.stdout) as Record<string, Answer & { headers: Record<string, string> }>;
  const statuses = Object.entries(answers).map(([name, answer]) => [name, answer.status]);
  expect(Object.fromEntries(statuses)).toEqual({
    login: 200, created: 200, runners: 200, both: 200, deleted: 200, after: 401,
  });
  expect(answers.created.body).toMatchObject({ description: "", enabled: true, expires: NEVER });
  expect(Object.keys(answers.created.headers).map((name) => name.toLowerCase())).not.toContain("set-cookie");
  expect(answers.both.headers["content-range"] ?? answers.both.headers["Content-Range"]).toBe("1");
  expect(answers.after.body).toEqual({ error: "invalid token" });
  expect(await tessera.tokens("workspace-1")).toEqual([]);
});

test("a token cannot exceed its scopes, even together with a valid session", async ({ tessera, gateway }) => {
  const reader = await tessera.createToken("workspace-1", "reader", ["rivers:read"]);
  const call = (path: string, headers: Record<string, string>, method = "GET") =>
    fetch(`${gateway.url}${path}`, { method, headers });
  expect((await call("/api/v1/runners", { Token: reader })).status).toBe(403);
  expect((await call("/api/v1/runners", {})).status).toBe(401);
  expect((await call("/api/v1/runners", { Token: reader }, "POST")).status).toBe(405);
  const login = await fetch(`${gateway.url}/api/v1/login`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ username: ADMIN.email, password: ADMIN.password, provider: "local" }),
  });
  const { token } = (await login.json()) as { token: string };
  // A session is valid for Tessera, but not for the API.
  expect((await call("/api/v1/runners", { Authorization: `Bearer ${token}` })).status).toBe(401);
  expect((await call("/api/v1/api_tokens", { Token: reader, Authorization: `Bearer ${token}` })).status).toBe(403);
  const { error } = (await (await call("/api/v1/api_tokens", {})).json()) as { error: string };
  expect(error).toBe("please authenticate.");
  expect(await gateway.callsLetThrough()).toBeLessThanOrEqual(2);
});
