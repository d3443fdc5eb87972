// Each gateway before an API, with the configuration that docs/gateways.md shows: what gets through,
// what does not, and what the API is told. No page is opened, so one project is enough.
import { readFile } from "node:fs/promises";
import path from "node:path";

import { type Answer, call, curl, RIVER_ID } from "../support/callers.ts";
import { test as base, expect } from "../support/fixtures.ts";
import { FILES, Gateway, type Kind, KINDS } from "../support/gateway.ts";
import { run } from "../support/process.ts";
import { isThere, ROOT } from "../support/programs.ts";
import { StandIn } from "../support/stand-in.ts";
import { ADMIN } from "../support/tessera.ts";

const ID = /^[0-9a-f]{8}-[0-9a-f-]{27}$/;

/** What each says on its own: to a path that nobody named, to another method, and when Tessera
 * cannot be asked or hangs; and the longest that it waits, in seconds. */
const OWN: Record<Kind, { path: number; method: number; down: number; hangs: number; patience: number }> = {
  nginx: { path: 404, method: 405, down: 503, hangs: 503, patience: 5 },
  caddy: { path: 403, method: 403, down: 502, hangs: 504, patience: 5 },
  traefik: { path: 404, method: 404, down: 500, hangs: 500, patience: 30 },
  envoy: { path: 404, method: 404, down: 503, hangs: 503, patience: 5 },
};

/** A location that names no scope, added to the documented configuration by somebody in a hurry. */
const FORGOTTEN: Record<Kind, [place: string, more: string]> = {
  nginx: ["    location / {\n", "    location /api/forgotten { proxy_pass http://api; }\n\n"],
  caddy: ["\t\t@unnamed", "\t\t@forgotten path /api/forgotten\n\n"],
  traefik: ["    allowed:\n      parentRefs: [", "    forgotten:\n      rule: PathPrefix(`/api/forgotten`)\n\n"],
  envoy: ["\n  clusters:", "\n                        - match: { prefix: /api/forgotten }\n                          route: { cluster: api }\n"],
};

const CLAIMS = ["Token-Id", "User", "User-Id", "Workspace", "Scopes", "Code"].flatMap((name) => [
  ...["-H", `X-Tessera-${name}: evil`],
  ...["-H", `x-tessera-${name.toLowerCase()}: evil`],
  ...["-H", `X_Tessera_${name.replace("-", "_")}: evil`],
  ...["-H", `x-tessera_${name.toLowerCase()}: evil`],
]);

const test = base.extend<{ kind: Kind; gateway: Gateway; api: string }>({
  kind: ["nginx", { option: true }],
  gateway: async ({ tessera, workspace, kind }, use) => {
    const gateway = await Gateway.start(tessera.url, workspace, kind);
    await use(gateway);
    await gateway.destroy();
  },
  api: async ({ gateway }, use) => use(`${gateway.url}/api/run`),
});

test.skip(({ scripts }) => !scripts, "no browser takes part");

interface Told {
  method: string;
  url: string;
  headers: [string, string][];
  body: string;
}

/** What the API was told. */
function told(answer: Answer): Told {
  expect(answer.status, answer.body).toBe(200);
  return JSON.parse(answer.body) as Told;
}

/** What it was told of its caller. */
function identity(answer: Answer): Record<string, string> {
  const headers = told(answer).headers.filter(([name]) => /^x.tessera/.test(name));
  expect(new Set(headers.map(([name]) => name)).size, "no header comes twice").toBe(headers.length);
  return Object.fromEntries(headers);
}

/** A caller's identity as Tessera gives it. */
const known = (workspace: string, scope: RegExp) => ({
  "x-tessera-token-id": expect.stringMatching(ID),
  "x-tessera-user": ADMIN.email,
  "x-tessera-user-id": expect.stringMatching(ID),
  "x-tessera-workspace": workspace,
  "x-tessera-scopes": expect.stringMatching(scope),
});

/** Tessera's shortest yes. */
const yes: StandIn["answer"] = (response) =>
  response.writeHead(200, { "x-tessera-code": "VALID", "content-length": 0 }).end();

for (const kind of KINDS) {
  test.describe(kind, () => {
    test.use({ kind });
    // Not every maker has a program for every system; continuous integration has all.
    test.skip(() => !process.env.CI && !isThere(kind), `${kind} is not on this machine`);
    const own = OWN[kind];

    test("a good token gets through and the API learns who calls", async ({ tessera, workspace, api, gateway }) => {
      const token = await tessera.createToken(workspace, "runner", ["rivers:run"]);
      expect(identity(await curl(api, token))).toEqual(known(workspace, /\brivers:run\b/));
      expect(gateway.log).not.toMatch(/\[(emerg|alert|crit|critical|error|warn)\]|"level":"error"| (ERR|WRN|FTL) /);
    });

    test("method, query and body reach the API as they were sent", async ({ tessera, workspace, gateway }) => {
      const token = await tessera.createToken(workspace, "all", ["rivers:run", "rivers:read"]);
      const bearer = ["-H", `Authorization: Bearer ${token}`];
      const query = "?a=1%20b&c=%2F%C3%A9&scope=users:write&&workspace=x&d=%00";
      for (const method of ["GET", "HEAD"]) {
        const head = method === "HEAD" ? ["--head"] : ["-X", method];
        const answer = await call(`${gateway.url}/api/rivers/7${query}`, [...bearer, ...head]);
        expect(answer.status, method).toBe(200);
        if (method === "HEAD") continue;
        expect(told(answer)).toMatchObject({ method, url: `/api/rivers/7${query}`, body: "" });
      }
      const body = JSON.stringify({ river_id: RIVER_ID, note: "é\t\u0001".repeat(50_000) });
      for (const chunked of [[], ["-H", "Transfer-Encoding: chunked"]]) {
        const json = ["-X", "POST", "-H", "Content-Type: application/json", "--data-binary", "@-"];
        const answer = await call(`${gateway.url}/api/run${query}`, [...bearer, ...json, ...chunked], body);
        expect(told(answer)).toMatchObject({ method: "POST", url: `/api/run${query}`, body });
      }
    });

    test("identity headers of the caller's own making never reach the API", async ({ tessera, workspace, api }) => {
      const token = await tessera.createToken(workspace, "runner", ["rivers:run"]);
      const answer = await curl(api, token, [...CLAIMS, "-H", "X-Forwarded-For: 10.9.8.7"]);
      expect(identity(answer)).toEqual(known(workspace, /\brivers:run\b/));
      expect(answer.body).not.toContain("evil");
      expect(answer.body).not.toContain("10.9.8.7");
    });

    test("a caller cannot take the identity away from the API", async ({ tessera, workspace, api }) => {
      const token = await tessera.createToken(workspace, "runner", ["rivers:run"]);
      for (const names of ["X-Tessera-User, X-Tessera-Workspace", "close, x-tessera-token-id, X-Tessera-Scopes"]) {
        const answer = await curl(api, token, ["-H", `Connection: ${names}`]);
        expect(identity(answer)).toEqual(known(workspace, /\brivers:run\b/));
      }
    });

    test("the token itself reaches neither the API nor the log", async ({ tessera, workspace, api, gateway }) => {
      const token = await tessera.createToken(workspace, "runner", ["rivers:run"]);
      for (const header of ["Authorization: Bearer", "Token:", "rime-api-key:"]) {
        const answer = await curl(api, undefined, ["-H", `${header} ${token}`]);
        expect(identity(answer), header).toEqual(known(workspace, /\brivers:run\b/));
        expect(answer.body).not.toContain(token);
      }
      expect(gateway.log).not.toContain(token);
    });

    test("a token that lacks the scope is forbidden, and told which", async ({ tessera, workspace, api, gateway }) => {
      const token = await tessera.createToken(workspace, "reader", ["rivers:read"]);
      const answer = await curl(api, token);
      expect(answer.status).toBe(403);
      expect(answer.headers.get("www-authenticate")).toContain('error="insufficient_scope"');
      expect(answer.headers.get("content-type")).toBe("application/problem+json");
      expect(await gateway.callsLetThrough()).toBe(0);
      expect((await call(`${gateway.url}/api/rivers/7`, ["-H", `Token: ${token}`])).status).toBe(200);
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

    test("two different tokens in one call are refused", async ({ tessera, workspace, api, gateway }) => {
      const one = await tessera.createToken(workspace, "one", ["rivers:run"]);
      const two = await tessera.createToken(workspace, "two", ["rivers:run"]);
      for (const header of ["Token", "rime-api-key"]) {
        expect((await curl(api, one, ["-H", `${header}: ${two}`])).status).toBe(401);
      }
      expect(await gateway.callsLetThrough()).toBe(0);
    });

    test("a token that is disabled, has ended or is deleted is refused by the very next call", async ({
      tessera, workspace, api, gateway,
    }) => {
      const token = await tessera.createToken(workspace, "runner", ["rivers:run"]);
      const [{ id }] = await tessera.tokens(workspace);
      const status = async () => (await curl(api, token)).status;
      expect(await status()).toBe(200);
      await tessera.cli(["token", "disable", id]);
      expect(await status()).toBe(401);
      await tessera.cli(["token", "enable", id]);
      expect(await status()).toBe(200);
      await tessera.cli(["token", "delete", id]);
      expect(await status()).toBe(401);

      const ended = await tessera.createToken(workspace, "ended", ["rivers:run"]);
      expect((await curl(api, ended)).status).toBe(200);
      const [second] = await tessera.tokens(workspace);
      await tessera.cli(["token", "expire", second.id]);
      expect((await curl(api, ended)).status).toBe(401);
      expect(await gateway.callsLetThrough()).toBe(3);
    });

    test("a connection that was let through once is asked again", async ({ tessera, workspace, gateway }) => {
      const token = await tessera.createToken(workspace, "reader", ["rivers:read"]);
      const url = `${gateway.url}/api/rivers`;
      const each = ["--silent", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code} %{num_connects}\n", url];
      const bearer = ["-H", `Authorization: Bearer ${token}`];
      const calls = [...each, ...bearer, "--next", ...each, "--next", ...each, ...bearer];
      expect((await run("curl", calls)).stdout).toBe("200 1\n401 0\n200 0\n");
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
      // Other systems have one address of their own only.
      if (process.platform !== "linux") return;
      const gateways = await bound("gateways", "127.0.0.1");
      const callers = await bound("callers", "127.0.0.2");
      const from = ["--interface", "127.0.0.2"];
      expect((await curl(api, callers, from)).status).toBe(200);
      for (const claim of [[], ["-H", "X-Forwarded-For: 127.0.0.1"], ["-H", "Connection: X-Forwarded-For"]]) {
        const { status } = await curl(api, gateways, [...from, ...claim]);
        expect([400, 403], `${claim}`).toContain(status);
      }
    });

    test("paths that nobody named, other methods and the question itself stay closed", async ({
      tessera, workspace, api, gateway,
    }) => {
      const token = await tessera.createToken(workspace, "all", ["rivers:run", "rivers:read"]);
      for (const other of ["/", "/api", "/api/run/", "/api/runs", "/api/riversx", "/api/other", "/_tessera", "/auth/forward"]) {
        expect((await curl(`${gateway.url}${other}`, token)).status, other).toBe(own.path);
      }
      for (const method of ["GET", "PUT", "DELETE", "OPTIONS", "FOO"]) {
        // Envoy knows no FOO at all.
        expect([own.method, 400], method).toContain((await curl(api, token, ["-X", method])).status);
      }
      expect(await gateway.callsLetThrough()).toBe(0);
    });

    test("a location that names no scope is refused", async ({ tessera, workspace }) => {
      const [place, more] = FORGOTTEN[kind];
      const gateway = await Gateway.start(tessera.url, workspace, kind, (_, text) =>
        text.replace(place, more + place).replace("parentRefs: [", "parentRefs: [forgotten, "),
      );
      try {
        const token = await tessera.createToken(workspace, "all", ["rivers:run", "rivers:read"]);
        const url = `${gateway.url}/api/forgotten`;
        for (const claims of [[], ["-H", "X-Tessera-Code: VALID"], ["-H", "X_Tessera_Code: VALID"]]) {
          expect([403, 404]).toContain((await curl(url, token, claims)).status);
          expect([401, 403, 404]).toContain((await curl(url, undefined, claims)).status);
        }
        expect(await gateway.callsLetThrough()).toBe(0);
        expect((await curl(`${gateway.url}/api/run`, token)).status).toBe(200);
      } finally {
        await gateway.destroy();
      }
    });

    test("no way of writing a path leads to what another scope opens", async ({ tessera, workspace, gateway }) => {
      const token = await tessera.createToken(workspace, "reader", ["rivers:read"]);
      const paths = [
        ...["/api/rivers/../run", "/api/rivers/%2e%2e/run", "/api/rivers/..%2frun", "/api/rivers/%2E%2E%2Frun"],
        ...["/api/rivers/./../run", "/api/rivers//../../run", "/api/rivers/x/../../run", "//api/run", "/api//run"],
        ...["/api/%72un", "/API/RUN", "/api/run?/api/rivers/", "/api/run#/api/rivers/", "/api/rivers/../../api/run"],
      ];
      for (const method of ["GET", "POST"]) {
        for (const path of paths) {
          const answer = await call(`${gateway.url}${path}`, ["-X", method, "-H", `Token: ${token}`]);
          if (answer.status !== 200) {
            expect([400, 403, 404, 405], `${method} ${path}`).toContain(answer.status);
            continue;
          }
          // What an API makes of the path that reached it.
          const [reached] = decodeURIComponent(told(answer).url).split(/[?#]/);
          expect(normalized(reached), `${method} ${path}`).toMatch(/^\/api\/rivers(\/|$)/);
        }
      }
    });

    test("without Tessera everything is refused, and with it again nothing else is needed", async ({
      tessera, workspace, api, gateway,
    }) => {
      const token = await tessera.createToken(workspace, "runner", ["rivers:run"]);
      expect((await curl(api, token)).status).toBe(200);
      await tessera.stop();
      try {
        for (const header of ["Authorization: Bearer", "Token:", "rime-api-key:"]) {
          const answer = await curl(api, undefined, ["-H", `${header} ${token}`]);
          expect(answer.status).toBe(own.down);
          if (kind === "nginx") expect(answer.headers.get("retry-after")).toBeDefined();
        }
        expect((await curl(api, undefined)).status).toBe(own.down);
        expect(await gateway.callsLetThrough()).toBe(1);
        expect(gateway.log, "what is logged of failures").not.toContain(token);
      } finally {
        await tessera.serve();
      }
      // nginx asks a server that failed again after its fail_timeout of 10 s.
      await expect.poll(async () => (await curl(api, token)).status, { timeout: 20_000 }).toBe(200);
    });

    test("a Tessera that hangs is not waited for, and its silence is no consent", async ({
      tessera, workspace, api, gateway,
    }) => {
      const token = await tessera.createToken(workspace, "runner", ["rivers:run"]);
      tessera.pause();
      try {
        const begin = Date.now();
        const answer = await curl(api, token, ["--max-time", "60"]);
        expect(answer.status).toBe(own.hangs);
        expect(Date.now() - begin).toBeLessThan((own.patience + 5) * 1_000);
        expect(await gateway.callsLetThrough()).toBe(0);
        expect(gateway.log).not.toContain(token);
      } finally {
        tessera.resume();
      }
      await expect.poll(async () => (await curl(api, token)).status, { timeout: 20_000 }).toBe(200);
    });

    test("only a plain yes lets a call pass", async () => {
      const tessera = await StandIn.start();
      const gateway = await Gateway.start(tessera.url, "workspace-1", kind);
      const url = `${gateway.url}/api/run`;
      try {
        for (const status of [302, 307, 400, 404, 429, 500, 502, 503]) {
          tessera.answer = (response) =>
            response.writeHead(status, { location: "/", "x-tessera-code": "VALID" }).end("VALID");
          expect((await curl(url, "token")).status, `${status}`).toBeGreaterThanOrEqual(300);
        }
        tessera.answer = (response) => response.socket?.end("VALID\r\n\r\nVALID");
        expect((await curl(url, "token")).status, "no HTTP").toBeGreaterThanOrEqual(500);
        tessera.answer = (response) => response.socket?.destroy();
        expect((await curl(url, "token")).status, "hung up").toBeGreaterThanOrEqual(500);
        expect(await gateway.callsLetThrough()).toBe(0);

        // Nothing but what Tessera says, even where it says nothing.
        tessera.answer = yes;
        await expect.poll(async () => (await curl(url, "token")).status, { timeout: 20_000 }).toBe(200);
        expect(identity(await curl(url, "token", CLAIMS))).toEqual({});
      } finally {
        await gateway.destroy();
        await tessera.stop();
      }
    });

    test("Tessera is asked for what the location needs, over connections that stay", async () => {
      const tessera = await StandIn.start();
      tessera.answer = yes;
      const gateway = await Gateway.start(tessera.url, "child@parent", kind);
      try {
        tessera.questions.length = 0;
        const more = ["-H", "X-Forwarded-For: 10.1.2.3", "-H", "Cookie: a=b"];
        for (let calls = 0; calls < 10; calls += 1) await curl(`${gateway.url}/api/run?scope=x`, "TOKEN", more);
        expect(tessera.questions).toHaveLength(10);
        expect(tessera.connections).toBeLessThanOrEqual(2);
        const [question] = tessera.questions;
        const { pathname, searchParams } = new URL(question.url!, tessera.url);
        expect(pathname).toBe("/auth/forward");
        const asked = { workspace: "child@parent", audience: "default", scope: "rivers:run" };
        expect([...searchParams]).toEqual(Object.entries(asked));
        expect(question.headers.authorization).toBe("Bearer TOKEN");
        expect(question.headers["x-forwarded-for"]).toBe("127.0.0.1");
        expect(question.headers.cookie).toBeUndefined();
        expect(Number(question.headers["content-length"] ?? 0), "the body stays here").toBe(0);
      } finally {
        await gateway.destroy();
        await tessera.stop();
      }
    });

    test("what the documentation shows is this very configuration", async () => {
      const page = await readFile(path.join(ROOT, "docs/gateways.md"), "utf8");
      for (const file of FILES[kind]) {
        const configuration = await readFile(path.join(ROOT, "end2end/gateway", file), "utf8");
        expect(page, file).toContain(`\n${configuration}\`\`\`\n`);
      }
    });
  });
}

/** A path without dots and doubled slashes. */
function normalized(text: string): string {
  return path.posix.normalize(text.toLowerCase());
}

test("what the README shows is in nginx's configuration", async () => {
  const lines = async (file: string) =>
    (await readFile(path.join(ROOT, file), "utf8")).split("\n").map((line) => line.trim());
  const configuration = await lines("end2end/gateway/nginx.conf");
  const readme = await lines("README.md");
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
