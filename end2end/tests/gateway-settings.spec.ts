// The statements in docs/gateways.md about settings of one gateway and about changes that an
// operator can make.
import { readFile } from "node:fs/promises";
import path from "node:path";

import { call, curl } from "../support/callers.ts";
import { expect } from "../support/fixtures.ts";
import { test, withEach } from "../support/gateway-test.ts";
import { Gateway, type Kind } from "../support/gateway.ts";
import { ROOT } from "../support/programs.ts";
import { Recorder, request } from "../support/raw.ts";
import { StandIn } from "../support/stand-in.ts";

/** The documented change that permits percent-encoded letters beyond ASCII. */
const LETTERS: Record<Kind, [place: string, instead: string]> = {
  nginx: ["7[b-d])", "7[b-d])|%c3%[89ab][0-9a-f]"],
  caddy: ["7[b-d])", "7[b-d])|%c3%[89ab][0-9a-f]"],
  traefik: ["%-]", "%À-ÿ-]"],
  envoy: ["7[b-d])", "7[b-d])|%c3%[89ab][0-9a-f]"],
};

withEach((kind) => {
  test("letters beyond ASCII get through if the operator permits them", async ({ tessera, workspace }) => {
    const [place, instead] = LETTERS[kind];
    const recorder = await Recorder.start();
    const gateway = await Gateway.start(
      tessera.url, workspace, kind, (_, configuration) => configuration.replace(place, () => instead), recorder.port,
    );
    try {
      const token = `Token: ${await tessera.createToken(workspace, "reader", ["rivers:read"])}`;
      recorder.takeLines();
      await request(gateway.url, "GET", "/api/rivers/caf%C3%A9", [token]);
      expect(recorder.takeLines()).toEqual(["GET /api/rivers/caf%C3%A9 HTTP/1.1"]);
      for (const refused of ["/api/rivers/%C5%BFecret", "/api/rivers/%C0%AE%C0%AE/run", "/api/rivers/%C3"]) {
        expect((await request(gateway.url, "GET", refused, [token])).status, refused).toBe(400);
      }
      expect(recorder.heads).toEqual([]);
    } finally {
      await gateway.destroy();
      await recorder.stop();
    }
  });
});

test.describe("nginx", () => {
  test.skip(({ scripts }) => !scripts, "this test doesn't use a browser");

  test("every response has CORS headers, including rejections", async ({ tessera, workspace }) => {
    const page = await readFile(path.join(ROOT, "docs/gateways.md"), "utf8");
    const lines = /### CORS\n.*?```nginx\n(.*?)```/s.exec(page)?.[1] ?? "";
    expect(lines).toContain("Access-Control-Allow-Origin");
    const place = "    auth_request /_tessera;\n";
    const gateway = await Gateway.start(tessera.url, workspace, "nginx", (_, text) => text.replace(place, () => `${lines}${place}`));
    const url = `${gateway.url}/api/run`;
    try {
      const runner = await tessera.createToken(workspace, "runner", ["rivers:run"], ["--rate-limit", "1/1d"]);
      const reader = await tessera.createToken(workspace, "reader", ["rivers:read"]);
      const expectCors = (answer: Awaited<ReturnType<typeof curl>>, status: number) => {
        expect(answer.status).toBe(status);
        expect(answer.headers.get("access-control-allow-origin"), `${status}`).toBe("https://app.example.com");
        return answer.headers;
      };
      const preflight = ["-X", "OPTIONS", "-H", "Origin: https://app.example.com", "-H", "Access-Control-Request-Method: POST"];
      expectCors(await call(url, preflight), 204);
      expectCors(await curl(url, runner), 200);
      expect(expectCors(await curl(url, runner), 429).get("retry-after")).toMatch(/^\d{5}$/);
      expect(expectCors(await curl(url, reader), 403).get("www-authenticate")).toContain("insufficient_scope");
      expect(expectCors(await curl(url, undefined), 401).get("www-authenticate")).toMatch(/^Bearer/);
      expectCors(await curl(`${gateway.url}/other`, reader), 404);
      expectCors(await curl(`${gateway.url}/api/rivers`, reader), 405);
      expectCors(await curl(`${gateway.url}/api//run`, reader), 400);
      expect(await gateway.callsLetThrough()).toBe(1);
      await tessera.stop();
      try {
        expect(expectCors(await curl(url, runner), 503).get("retry-after")).toBe("5");
      } finally {
        await tessera.serve();
      }
    } finally {
      await gateway.destroy();
    }
  });
});

test.describe("Envoy", () => {
  test.skip(({ scripts }) => !scripts, "this test doesn't use a browser");

  test("responses of the API do not time out", async ({ tessera, workspace }) => {
    const configuration = await readFile(path.join(ROOT, "end2end/gateway/envoy.yaml"), "utf8");
    expect(configuration.match(/^ +route: .*$/gm)?.every((line) => /timeout: 0s|\*api$/.test(line))).toBe(true);
    const recorder = await Recorder.start();
    const gateway = await Gateway.start(tessera.url, workspace, "envoy", undefined, recorder.port);
    try {
      const all = await tessera.createToken(workspace, "all", ["rivers:run", "rivers:write"]);
      for (const [method, target] of [["POST", "/api/run"], ["GET", "/api/rivers"], ["GET", "/api/rivers/secret"]]) {
        expect((await request(gateway.url, method, target, [`Token: ${all}`])).status).toBe(200);
        // Envoy sends its timeout to the API in this header: by default 15000 ms.
        expect(recorder.heads.splice(0).join()).not.toMatch(/x-envoy-expected-rq-timeout-ms/i);
      }
    } finally {
      await gateway.destroy();
      await recorder.stop();
    }
  });

  test("Envoy closes an idle connection to Tessera before Tessera does", async () => {
    const read = (file: string) => readFile(path.join(ROOT, file), "utf8");
    const rest = /const HEAD: Duration = Duration::from_secs\((\d+)\);/.exec(await read("server/src/serve/connections.rs"))?.[1];
    const idle = /idle_timeout: (\d+)s/.exec(await read("end2end/gateway/envoy.yaml"))?.[1];
    expect(Number(idle)).toBeLessThan(Number(rest));

    // Check that Envoy reads the setting: with a short timeout, Envoy closes the connection.
    const tessera = await StandIn.start();
    tessera.answer = (response) => response.writeHead(200, { "x-tessera-code": "VALID", "content-length": 0 }).end();
    const gateway = await Gateway.start(tessera.url, "workspace-1", "envoy", (_, text) =>
      text.replace(`idle_timeout: ${idle}s`, "idle_timeout: 0.2s"),
    );
    try {
      expect((await curl(`${gateway.url}/api/run`, "TOKEN")).status).toBe(200);
      await expect.poll(() => tessera.open).toBe(0);
    } finally {
      await gateway.destroy();
      await tessera.stop();
    }
  });
});
