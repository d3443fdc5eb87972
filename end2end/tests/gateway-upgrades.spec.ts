// Protocol upgrades through each documented gateway. The API accepts every upgrade. After an
// upgrade the gateway is only a pipe, so the assertions check the bytes that reached the API.
import { readFile } from "node:fs/promises";
import path from "node:path";

import { expect } from "../support/fixtures.ts";
import { test as base, withEach } from "../support/gateway-test.ts";
import { type Edit, Gateway, type Kind } from "../support/gateway.ts";
import { ROOT } from "../support/programs.ts";
import { converse, exchange, Recorder } from "../support/raw.ts";

/** Values of `Upgrade` other than that of WebSockets. Each entry is a list of header lines. */
const OTHERS = [
  ...[["h2c"], ["H2C"], ["h2c, websocket"], ["websocket, h2c"], ["websocket,h2c"], ["h2c", "websocket"], ["websocket", "h2c"]],
  ...[["TLS/1.0"], ["HTTP/2.0"], ["h2c/1"], ["foo"], ["websocket/13"], ["xwebsocket"], ["websocketx"], ["websocket;h2c"], ['"websocket"']],
];

/** Values of `Connection`. */
const CONNECTIONS = ["Upgrade, HTTP2-Settings", "upgrade", "keep-alive, Upgrade, HTTP2-Settings", "HTTP2-Settings", "Upgrade, X-Tessera-User"];

/** A smuggled request after a protocol upgrade. Its number identifies the upgrade, because it may
 * reach the API late. */
const smuggled = (number: number) =>
  `DELETE /api/admin/users HTTP/1.1\r\nHost: api.example.com\r\nX-Tessera-User: evil@example.com\r\nX-Number: ${number}\r\n\r\n`;

/** Returns edits that add the page's chapter about WebSockets to the documented configurations. */
async function withWebSockets(): Promise<Record<Kind, Edit>> {
  const page = await readFile(path.join(ROOT, "docs/gateways.md"), "utf8");
  const chapter = /\n## WebSockets\n(.*?)\n## /s.exec(page)?.[1] ?? "";
  const blocks = [...chapter.matchAll(/```\w+\n(.*?)```/gs)].map(([, text]) => text);
  expect(blocks.length).toBe(6);
  const [maps, location, caddy, routers, middleware, route] = blocks;
  const before = (text: string, place: string, block: string) => {
    expect(text.split(place).length, place).toBe(2);
    return text.replace(place, () => `${block}${place}`);
  };
  return {
    nginx: (_, text) => before(before(text, "server {\n    listen", maps), "    location ~ ^/api/rivers(/|$) {", location),
    caddy: (_, text) => before(text, "\t\trequest_header -HTTP2-Settings", caddy),
    traefik: (file, text) => {
      if (!file.includes("tessera")) return text;
      return before(before(text, "    # The only way to the API", routers), "    # Returns 400 to every caller", middleware);
    },
    envoy: (_, text) => before(text, "                        - match: { path_separated_prefix: /api/rivers,", route),
  };
}

/** Returns a request head with these lines. */
const head = (target: string, lines: string[]) => `GET ${target} HTTP/1.1\r\nHost: api.example.com\r\n${lines.join("\r\n")}\r\n\r\n`;

/** Returns the values of a header in a head. */
const values = (text: string, name: string) => [...text.matchAll(new RegExp(`^${name}:[ \\t]*(.*?)[ \\t]*$`, "gim"))].map(([, value]) => value);

const test = base.extend<{ recorder: Recorder; reader: string }>({
  recorder: async ({}, use) => {
    const recorder = await Recorder.start();
    await use(recorder);
    await recorder.stop();
  },
  reader: async ({ tessera, workspace }, use) => {
    await use(`Token: ${await tessera.createToken(workspace, "reader", ["rivers:read"])}`);
  },
});

/** Requests every protocol upgrade and returns a line for each violation. */
async function changes(url: string, target: string, reader: string, recorder: Recorder, more: string[][] = []): Promise<string[]> {
  const wrong: string[] = [];
  const sent: { isPlain: boolean; what: string }[] = [];
  for (const lines of [...OTHERS, ...more]) {
    for (const connection of CONNECTIONS) {
      const upgrades = lines.map((line) => `Upgrade: ${line}`);
      const settings = "HTTP2-Settings: AAMAAABkAAQAAP__";
      const bytes = head(target, [reader, `Connection: ${connection}`, ...upgrades, settings]);
      const isPlain = lines.includes("websocket");
      sent.push({ isPlain, what: `${lines.join("|")} (${connection})` });
      const answer = await exchange(url, bytes + smuggled(sent.length - 1));
      for (const told of recorder.heads.splice(0)) {
        const named = values(told, "upgrade");
        const isHarmless = named.length === 0 || (isPlain && more.length === 0 && named.join() === "websocket");
        const isAsked = told.startsWith(`GET ${target} `) && /^X-Tessera-User: \S+@/im.test(told);
        if (!isHarmless || !isAsked || values(told, "http2-settings").length > 0) wrong.push(`${lines.join("|")} (${connection}): ${told}`);
      }
      if (!isPlain && answer.startsWith("HTTP/1.1 101")) wrong.push(`${lines.join("|")} (${connection}): ${answer}`);
      for (const [, number] of recorder.piped.splice(0).join("").matchAll(/X-Number: (\d+)/g)) {
        const call = sent[Number(number)];
        if (!call.isPlain) wrong.push(`${call.what}: a pipe`);
      }
    }
  }
  return wrong;
}

withEach((kind) => {
  test("the documented configuration permits no protocol upgrade", async ({ tessera, workspace, recorder, reader }) => {
    const gateway = await Gateway.start(tessera.url, workspace, kind, undefined, recorder.port);
    try {
      recorder.heads.splice(0);
      expect(await changes(gateway.url, "/api/rivers/7", reader, recorder, [["websocket"], ["WebSocket"]])).toEqual([]);
    } finally {
      await gateway.destroy();
    }
  });

  test("a path that permits WebSockets permits no other upgrade", async ({ tessera, workspace, recorder, reader }) => {
    const gateway = await Gateway.start(tessera.url, workspace, kind, (await withWebSockets())[kind], recorder.port);
    const socket = ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="];
    try {
      recorder.heads.splice(0);
      expect(await changes(gateway.url, "/api/rivers/live", reader, recorder)).toEqual([]);
      recorder.piped.splice(0);
      for (const name of ["websocket", "WebSocket"]) {
        const lines = [`Upgrade: ${name}`, "Connection: keep-alive, Upgrade", ...socket, "X-Tessera-User: evil"];
        const answer = await converse(gateway.url, head("/api/rivers/live", [reader, ...lines]), "to and fro", "to and fro");
        expect(answer).toMatch(/^HTTP\/1.1 101 .*\r\n\r\nto and fro$/s);
        const [told] = recorder.heads.splice(0);
        expect(values(told, "upgrade").join().toLowerCase()).toBe("websocket");
        expect(values(told, "connection").join().toLowerCase()).toMatch(/^(keep-alive, )?upgrade$/);
        expect(values(told, "sec-websocket-key")).toEqual(["dGhlIHNhbXBsZSBub25jZQ=="]);
        expect(told, "the caller's identity").toMatch(/^X-Tessera-User: \S+@/im);
        expect(told).not.toContain(reader.slice(7));
        // Smuggled bytes from earlier requests may arrive late.
        expect(recorder.piped.splice(0).join("")).toContain("to and fro");
        // Other paths reject WebSockets, and this path requires its scope.
        const runner = `Token: ${await tessera.createToken(workspace, "runner", ["rivers:run"])}`;
        for (const [token, target] of [[reader, "/api/rivers/7"], [runner, "/api/rivers/live"], ["X-None: 0", "/api/rivers/live"]]) {
          const refused = await exchange(gateway.url, head(target, [token, ...lines]));
          expect(refused, target).not.toMatch(/^HTTP\/1.1 101/);
        }
        expect(recorder.heads.splice(0).flatMap((told) => values(told, "upgrade"))).toEqual([]);
      }
    } finally {
      await gateway.destroy();
    }
  });
});
