// Gateways in unusual situations: Tessera is down, hangs or returns odd responses, a location names
// no scope or several, or a load balancer is in front. Also checks that the documentation shows the
// tested configurations.
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import path from "node:path";

import { curl } from "../support/callers.ts";
import { expect } from "../support/fixtures.ts";
import { CLAIMS, identity, test, withEach } from "../support/gateway-test.ts";
import { FILES, Gateway, type Kind } from "../support/gateway.ts";
import { ROOT } from "../support/programs.ts";
import { StandIn } from "../support/stand-in.ts";

/** A location without a scope, as a hurried operator might add it to the documented
 * configuration. */
const FORGOTTEN: Record<Kind, [place: string, more: string]> = {
  nginx: ["    location / {\n", "    location /api/forgotten { proxy_pass http://api; }\n\n"],
  caddy: ["\t\t@unnamed", "\t\t@forgotten path /api/forgotten\n\n"],
  traefik: ["    allowed:\n      parentRefs: [", "    forgotten:\n      rule: PathPrefix(`/api/forgotten`)\n\n"],
  envoy: [
    "                        - match: { path: /api/run",
    "                        - match: { prefix: /api/forgotten }\n                          route: { cluster: api }\n",
  ],
};

/** The documented changes for a gateway behind a load balancer, which is at 127.0.0.1 here. */
const BALANCED: Record<Kind, [place: string | RegExp, instead: string][]> = {
  nginx: [["server_tokens off;", "server_tokens off; set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For;"]],
  caddy: [["{\n", "{\n\tservers {\n\t\ttrusted_proxies static 127.0.0.1\n\t}\n"]],
  traefik: [
    ["    address: 127.0.0.1:8000\n", "    address: 127.0.0.1:8000\n    forwardedHeaders: { trustedIPs: [127.0.0.1] }\n"],
    ["forwardAuth:\n", "forwardAuth:\n        trustForwardHeader: true\n"],
  ],
  envoy: [[/ +- append:\n.*x-forwarded-for.*\n.*append_action.*\n/, ""]],
};

/** The documented change that requires two scopes. */
const SEVERAL: Record<Kind, [place: string, instead: string]> = {
  nginx: ["scope rivers:run;", "scope rivers:run+rivers:read;"],
  caddy: ["scope rivers:run\n", 'scope "rivers:run rivers:read"\n'],
  traefik: ["scope=rivers:run\n", "scope=rivers:run+rivers:read\n"],
  envoy: ["scope=rivers:run\n", "scope=rivers:run+rivers:read\n"],
};

/** The shortest response with which Tessera accepts a token. */
const yes: StandIn["answer"] = (response) =>
  response.writeHead(200, { "x-tessera-code": "VALID", "content-length": 0 }).end();

withEach((kind, own) => {
  test("a location with several scopes requires all of them", async ({ tessera, workspace }) => {
    const [place, instead] = SEVERAL[kind];
    const gateway = await Gateway.start(tessera.url, workspace, kind, (_, text) => text.replace(place, instead));
    try {
      const status = async (name: string, scopes: string[]) =>
        (await curl(`${gateway.url}/api/run`, await tessera.createToken(workspace, name, scopes))).status;
      expect(await status("run", ["rivers:run"])).toBe(403);
      expect(await status("read", ["rivers:read"])).toBe(403);
      expect(await status("both", ["rivers:run", "rivers:read"])).toBe(200);
    } finally {
      await gateway.destroy();
    }
  });

  test("behind a load balancer, the caller's address is the one that the load balancer reports", async ({
    tessera, workspace,
  }) => {
    const gateway = await Gateway.start(tessera.url, workspace, kind, (_, text) =>
      BALANCED[kind].reduce((text, [place, instead]) => text.replace(place, instead), text),
    );
    try {
      const bound = await tessera.createToken(workspace, "bound", ["rivers:run"], ["--ip-allow", "10.1.2.3"]);
      const from = async (chain: string) =>
        (await curl(`${gateway.url}/api/run`, bound, ["-H", `X-Forwarded-For: ${chain}`])).status;
      expect(await from("10.1.2.3")).toBe(200);
      expect(await from("10.9.9.9, 10.1.2.3")).toBe(200);
      expect(await from("10.1.2.3, 10.9.9.9")).toBe(403);
    } finally {
      await gateway.destroy();
    }
  });

  test("a location without a scope rejects every request", async ({ tessera, workspace }) => {
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

  test("all requests are rejected while Tessera is down, and succeed again when it is back", async ({
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
      expect(gateway.log, "the log of the failures").not.toContain(token);
    } finally {
      await tessera.serve();
    }
    // nginx retries a failed server after its fail_timeout of 10 s.
    await expect.poll(async () => (await curl(api, token)).status, { timeout: 20_000 }).toBe(200);
  });

  test("requests time out with an error while Tessera hangs", async ({
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

  test("only a valid response from Tessera lets a request through", async () => {
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
      expect((await curl(url, "token")).status, "not HTTP").toBeGreaterThanOrEqual(500);
      tessera.answer = (response) => response.socket?.destroy();
      expect((await curl(url, "token")).status, "connection closed").toBeGreaterThanOrEqual(500);
      expect(await gateway.callsLetThrough()).toBe(0);

      // The API receives only identity headers from Tessera, even if Tessera sends none.
      tessera.answer = yes;
      await expect.poll(async () => (await curl(url, "token")).status, { timeout: 20_000 }).toBe(200);
      expect(identity(await curl(url, "token", CLAIMS))).toEqual({});
    } finally {
      await gateway.destroy();
      await tessera.stop();
    }
  });

  test("the gateway calls Tessera with the location's scope over persistent connections", async () => {
    const tessera = await StandIn.start();
    tessera.answer = yes;
    const gateway = await Gateway.start(tessera.url, "child@parent", kind);
    try {
      tessera.questions.length = 0;
      const headers = ["-H", "X-Forwarded-For: 10.1.2.3", "-H", "Cookie: a=b"];
      for (let calls = 0; calls < 10; calls += 1) await curl(`${gateway.url}/api/run?scope=x`, "TOKEN", headers);
      expect(tessera.questions).toHaveLength(10);
      expect(tessera.connections).toBeLessThanOrEqual(2);
      const [question] = tessera.questions;
      const { pathname, searchParams } = new URL(question.url!, tessera.url);
      expect(pathname).toBe("/auth/forward");
      const more = kind === "nginx" ? { rate_limited: "403" } : {};
      const asked = { workspace: "child@parent", audience: "default", scope: "rivers:run", ...more };
      expect([...searchParams]).toEqual(Object.entries(asked));
      expect(question.headers.authorization).toBe("Bearer TOKEN");
      expect(question.headers["x-forwarded-for"]).toBe("127.0.0.1");
      expect(question.headers.cookie).toBeUndefined();
      expect(Number(question.headers["content-length"] ?? 0), "the body is not sent to Tessera").toBe(0);
      expect(question.headers["transfer-encoding"]).toBeUndefined();
    } finally {
      await gateway.destroy();
      await tessera.stop();
    }
  });

  test("the gateway calls Tessera before it has received the whole body", async () => {
    const tessera = await StandIn.start();
    const gateway = await Gateway.start(tessera.url, "workspace-1", kind);
    const { hostname, port } = new URL(gateway.url);
    const socket = connect(Number(port), hostname).setEncoding("utf8");
    let answer = "";
    socket.on("data", (text: string) => (answer += text));
    try {
      tessera.questions.length = 0;
      socket.write("POST /api/run HTTP/1.1\r\nHost: api\r\nToken: tsr_x\r\nContent-Length: 1000000\r\n\r\nfirst");
      await expect.poll(() => tessera.questions.length).toBe(1);
      // Caddy reads part of a rejected body before it responds.
      if (kind === "caddy") socket.write("x".repeat(300_000));
      await expect.poll(() => answer).toMatch(/^HTTP\/1\.1 401 /);
    } finally {
      socket.destroy();
      await gateway.destroy();
      await tessera.stop();
    }
  });

  test("the documentation shows exactly this configuration", async () => {
    const page = await readFile(path.join(ROOT, "docs/gateways.md"), "utf8");
    for (const file of FILES[kind]) {
      const configuration = await readFile(path.join(ROOT, "end2end/gateway", file), "utf8");
      expect(page, file).toContain(`\n${configuration}\`\`\`\n`);
    }
  });
});

test("nginx's configuration contains the lines in the README", async () => {
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
