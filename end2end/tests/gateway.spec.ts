// Each gateway in front of an API, with the configuration in docs/gateways.md: which requests get
// through, which are rejected, and what the API receives. The tests open no page, so they run in
// one project only.
import path from "node:path";

import { call, curl, RIVER_ID } from "../support/callers.ts";
import { expect } from "../support/fixtures.ts";
import { CLAIMS, identity, known, test, told, withEach } from "../support/gateway-test.ts";
import { run } from "../support/process.ts";

withEach((_, own) => {
  test("a request with a valid token gets through with the caller's identity", async ({ tessera, workspace, api, gateway }) => {
    const token = await tessera.createToken(workspace, "runner", ["rivers:run"]);
    expect(identity(await curl(api, token))).toEqual(known(workspace, /\brivers:run\b/));
    expect(gateway.log).not.toMatch(/\[(emerg|alert|crit|critical|error|warn)\]|"level":"error"| (ERR|WRN|FTL) /);
  });

  test("method, query and body reach the API unchanged", async ({ tessera, workspace, gateway }) => {
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

  test("forged identity headers never reach the API", async ({ tessera, workspace, api }) => {
    const token = await tessera.createToken(workspace, "runner", ["rivers:run"]);
    const answer = await curl(api, token, [...CLAIMS, "-H", "X-Forwarded-For: 10.9.8.7"]);
    expect(identity(answer)).toEqual(known(workspace, /\brivers:run\b/));
    expect(answer.body).not.toContain("evil");
    expect(answer.body).not.toContain("10.9.8.7");
  });

  test("a caller cannot remove the identity headers", async ({ tessera, workspace, api }) => {
    const token = await tessera.createToken(workspace, "runner", ["rivers:run"]);
    for (const names of ["X-Tessera-User, X-Tessera-Workspace", "close, x-tessera-token-id, X-Tessera-Scopes"]) {
      const answer = await curl(api, token, ["-H", `Connection: ${names}`]);
      expect(identity(answer)).toEqual(known(workspace, /\brivers:run\b/));
    }
  });

  test("the token reaches neither the API nor the log", async ({ tessera, workspace, api, gateway }) => {
    const token = await tessera.createToken(workspace, "runner", ["rivers:run"]);
    for (const header of ["Authorization: Bearer", "Token:", "rime-api-key:"]) {
      const answer = await curl(api, undefined, ["-H", `${header} ${token}`]);
      expect(identity(answer), header).toEqual(known(workspace, /\brivers:run\b/));
      expect(answer.body).not.toContain(token);
    }
    expect(gateway.log).not.toContain(token);
  });

  test("a token without the scope gets 403 with insufficient_scope", async ({ tessera, workspace, api, gateway }) => {
    const token = await tessera.createToken(workspace, "reader", ["rivers:read"]);
    const answer = await curl(api, token);
    expect(answer.status).toBe(403);
    expect(answer.headers.get("www-authenticate")).toContain('error="insufficient_scope"');
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(await gateway.callsLetThrough()).toBe(0);
    expect((await call(`${gateway.url}/api/rivers/7`, ["-H", `Token: ${token}`])).status).toBe(200);
  });

  test("a rate-limited token gets 429 with Retry-After", async ({ tessera, workspace, api, gateway }) => {
    const token = await tessera.createToken(workspace, "rare", ["rivers:run"], ["--rate-limit", "2/1d"]);
    expect((await curl(api, token)).status).toBe(200);
    expect((await curl(api, token)).status).toBe(200);
    const answer = await curl(api, token);
    expect(answer.status).toBe(429);
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(40_000);
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(await gateway.callsLetThrough()).toBe(2);
    const other = await tessera.createToken(workspace, "reader", ["rivers:read"]);
    expect((await curl(api, other)).status, "forbidden for another reason").toBe(403);
  });

  test("a request with a missing, foreign or mistyped token gets 401", async ({
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

  test("a token of another workspace or another API gets 401", async ({
    tessera, workspace, api, gateway,
  }) => {
    const elsewhere = await tessera.createToken("workspace-1", "runner", ["rivers:run"]);
    expect((await curl(api, elsewhere)).status).toBe(401);
    const manager = ["token", "create", "--workspace", workspace, "--name", "manager", "--audience", "tessera"];
    const otherApi = await tessera.cli([...manager, "--scope", "tokens:read"]);
    expect((await curl(api, otherApi)).status).toBe(401);
    expect(await gateway.callsLetThrough()).toBe(0);
  });

  test("a request with two different tokens is rejected", async ({ tessera, workspace, api, gateway }) => {
    const one = await tessera.createToken(workspace, "one", ["rivers:run"]);
    const two = await tessera.createToken(workspace, "two", ["rivers:run"]);
    for (const header of ["Token", "rime-api-key"]) {
      expect((await curl(api, one, ["-H", `${header}: ${two}`])).status).toBe(401);
    }
    expect(await gateway.callsLetThrough()).toBe(0);
  });

  test("a token is rejected on the first request after it is disabled, expires or is deleted", async ({
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

  test("every request on a connection is verified", async ({ tessera, workspace, gateway }) => {
    const token = await tessera.createToken(workspace, "reader", ["rivers:read"]);
    const url = `${gateway.url}/api/rivers`;
    const each = ["--silent", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code} %{num_connects}\n", url];
    const bearer = ["-H", `Authorization: Bearer ${token}`];
    const calls = [...each, ...bearer, "--next", ...each, "--next", ...each, ...bearer];
    expect((await run("curl", calls)).stdout).toBe("200 1\n401 0\n200 0\n");
  });

  test("a token bound to addresses is rejected from other addresses, whatever the caller claims", async ({
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
    // Other systems have only one loopback address.
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

  test("paths without a route, other methods and the internal verification path are closed", async ({
    tessera, workspace, api, gateway,
  }) => {
    const token = await tessera.createToken(workspace, "all", ["rivers:run", "rivers:read"]);
    const others = ["/", "/api", "/api/run/", "/api/runs", "/api/riversx", "/api/other", "/_tessera", "/auth/forward"];
    for (const other of others) {
      expect((await curl(`${gateway.url}${other}`, token)).status, other).toBe(own.path);
    }
    for (const method of ["GET", "PUT", "DELETE", "OPTIONS", "FOO"]) {
      // Envoy does not support the method FOO.
      expect([own.method, 400], method).toContain((await curl(api, token, ["-X", method])).status);
    }
    expect(await gateway.callsLetThrough()).toBe(0);
  });

  test("no spelling of a path reaches a path that needs another scope", async ({ tessera, workspace, gateway }) => {
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
        // The path as an API may interpret it.
        const [reached] = decodeURIComponent(told(answer).url).split(/[?#]/);
        expect(normalized(reached), `${method} ${path}`).toMatch(/^\/api\/rivers(\/|$)/);
      }
    }
  });
});

/** Returns a path without dot segments and double slashes. */
function normalized(text: string): string {
  return path.posix.normalize(text.toLowerCase());
}
