// Sends paths and header names that a gateway and the API behind it could interpret differently, as
// raw bytes, to each documented gateway. The assertions check the bytes that reached the API.
import { expect } from "../support/fixtures.ts";
import { test as base, withEach } from "../support/gateway-test.ts";
import { Gateway, type Kind } from "../support/gateway.ts";
import { AMBIGUOUS, meanings, PLAIN, SECRETS } from "../support/paths.ts";
import { Recorder, request } from "../support/raw.ts";

/** These gateways resolve dots and double slashes before they choose a scope, and forward the
 * resolved path. */
const RESOLVES: Kind[] = ["traefik", "envoy"];

const test = base.extend<{ recorder: Recorder; reader: string }>({
  recorder: async ({}, use) => {
    const recorder = await Recorder.start();
    await use(recorder);
    await recorder.stop();
  },
  gateway: async ({ tessera, workspace, kind, recorder }, use) => {
    const gateway = await Gateway.start(tessera.url, workspace, kind, undefined, recorder.port);
    recorder.takeLines();
    await use(gateway);
    await gateway.destroy();
  },
  reader: async ({ tessera, workspace }, use) => {
    await use(`Token: ${await tessera.createToken(workspace, "reader", ["rivers:read"])}`);
  },
});

/** Returns whether `rivers:read` permits this path in every interpretation. */
function isOpen(path: string): boolean {
  return [...meanings(path)].every(
    (meaning) => /^\/api\/rivers(\/|$)/.test(meaning) && !/^\/api\/rivers\/secret(\/|$)/.test(meaning),
  );
}

withEach((kind) => {
  test("an ambiguous path is rejected, or forwarded exactly as it was matched", async ({ gateway, recorder, reader }) => {
    expect(AMBIGUOUS.length).toBeGreaterThan(100);
    const wrong: string[] = [];
    for (const path of AMBIGUOUS) {
      for (const method of ["GET", "POST"]) {
        const { status } = await request(gateway.url, method, path, [reader]);
        const lines = recorder.takeLines();
        const refusals = RESOLVES.includes(kind) ? [400, 403, 404] : [400];
        const isRefused = lines.length === 0 && refusals.includes(status);
        const isMatched =
          RESOLVES.includes(kind) && method === "GET" && lines.length === 1 && isOpen(lines[0].split(" ")[1]);
        if (!isRefused && !isMatched) wrong.push(`${method} ${path}: ${status} ${lines.join()}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test("an unambiguous path is forwarded byte for byte", async ({ gateway, recorder, reader }) => {
    for (const path of PLAIN) {
      const { status } = await request(gateway.url, "GET", path, [reader]);
      expect(recorder.takeLines(), `${status}`).toEqual([`GET ${path} HTTP/1.1`]);
    }
  });

  test("no change of case, slashes, suffix or encoding reaches a nested path with the scope of its parent", async ({
    tessera, workspace, gateway, recorder, reader,
  }) => {
    const wrong: string[] = [];
    for (const path of SECRETS) {
      for (const method of ["GET", "POST"]) {
        const { status } = await request(gateway.url, method, path, [reader]);
        const lines = recorder.takeLines();
        const isMatched = lines.every((line) => RESOLVES.includes(kind) && isOpen(line.split(" ")[1]));
        if (!isMatched || (lines.length === 0 && status < 400)) wrong.push(`${method} ${path}: ${status} ${lines.join()}`);
      }
    }
    expect(wrong).toEqual([]);
    const writer = `Token: ${await tessera.createToken(workspace, "writer", ["rivers:write"])}`;
    for (const path of ["/api/rivers/secret", "/api/rivers/SECRET.json"]) {
      await request(gateway.url, "GET", path, [writer]);
      expect(recorder.takeLines()).toEqual([`GET ${path} HTTP/1.1`]);
    }
  });

  test("headers that claim an identity, a method, a path or an address do not reach the API", async ({
    gateway, recorder, reader,
  }) => {
    const names = [
      ...["Token-Id", "User", "User-Id", "Workspace", "Scopes", "Code", "Stale"].map((name) => `X-Tessera-${name}`),
      ...["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL", "X-Original-URI"],
      ...["X-Original-Method", "X-Rewrite-URL", "X-Forwarded-Prefix", "Forwarded", "X-Real-IP", "X-Forwarded-For"],
      ...["X-Original-Host", "X-Original-Forwarded-For", "X-Forwarded", "X-Forwarded-Method", "X-Forwarded-Uri"],
      ...["Client-IP", "True-Client-IP", "X-Client-IP", "X-Cluster-Client-IP", "Fastly-Client-IP"],
      ...["CF-Connecting-IP", "CF-Connecting-IPv6"],
    ];
    const written = names.flatMap((name) => [name, name.toUpperCase(), name.toLowerCase()]);
    const merged = [...names, "Rime-Api-Key"].flatMap((name) =>
      [..."_.!#$%&'*+^`|~"].filter(() => name.includes("-")).flatMap((sign) => [name.replaceAll("-", sign), name.replace("-", sign)]),
    );
    // Send a few headers at a time, because servers limit their number.
    const all = [...new Set([...written, ...merged])];
    for (let from = 0; from < all.length; from += 40) {
      const claims = all.slice(from, from + 40).map((name) => `${name}: evil`);
      const { status } = await request(gateway.url, "GET", "/api/rivers/7", [reader, ...claims]);
      expect(status, claims.join()).toBe(200);
      const [head] = recorder.heads.splice(0);
      expect(head).not.toContain("evil");
      expect(head).not.toContain(reader.slice(7));
      expect(head, "the caller's identity").toMatch(/^X-Tessera-User: \S+@/im);
    }
  });

  test("a request with very many headers does not look like a failure of Tessera", async ({ gateway, recorder, reader }) => {
    const many = (count: number) => Array.from({ length: count }, (_, index) => `X-Own-${index}: ${index}`);
    const status = async (count: number) => (await request(gateway.url, "GET", "/api/rivers", [reader, ...many(count)])).status;
    expect(await status(80)).toBe(200);
    recorder.takeLines();
    for (const count of [96, 101, 150]) {
      const answered = await status(count);
      // nginx forwards any number of headers. With the other gateways, Tessera or the gateway
      // rejects more than 100. Envoy returns 500 if only its own headers exceed that limit.
      const allowed = { nginx: [200], caddy: [431], traefik: [200], envoy: [431, count < 100 ? 500 : 431] }[kind];
      expect(allowed, `${count} headers`).toContain(answered);
      expect(recorder.takeLines().length).toBe(answered === 200 ? 1 : 0);
    }
  });
});
