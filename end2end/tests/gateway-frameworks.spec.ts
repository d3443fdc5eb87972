// Real frameworks behind each gateway: no spelling of a path reaches a handler that the token's
// scope does not permit. Each framework decodes, resolves and folds paths differently.
import path from "node:path";

import { python } from "../support/callers.ts";
import { expect } from "../support/fixtures.ts";
import { test as base, withEach } from "../support/gateway-test.ts";
import { Gateway } from "../support/gateway.ts";
import { AMBIGUOUS, SECRETS } from "../support/paths.ts";
import { Running } from "../support/process.ts";
import { ROOT } from "../support/programs.ts";
import { request } from "../support/raw.ts";

interface Frameworks {
  flask: number;
  fastapi: number;
}

const test = base.extend<object, { frameworks: Frameworks }>({
  frameworks: [
    async ({}, use) => {
      const running = Running.start("the frameworks", python(), [path.join(ROOT, "end2end/apis/frameworks.py")]);
      const [, flask, fastapi] = await running.says((text) => text.match(/listening on (\d+) and (\d+)/));
      await use({ flask: Number(flask), fastapi: Number(fastapi) });
      await running.stop();
    },
    { scope: "worker" },
  ],
});

/** Sends a request and returns the handler that it reached. */
async function handler(port: number, method: string, target: string, headers: string[] = []): Promise<string | undefined> {
  const { text } = await request(`http://127.0.0.1:${port}`, method, target, headers);
  return /"handler": ?"(\w+)"/.exec(text)?.[1];
}

withEach((kind) => {
  for (const framework of ["flask", "fastapi"] as const) {
    test(`only requests that the scope permits reach ${framework}`, async ({ tessera, workspace, frameworks }) => {
      const api = frameworks[framework];
      const gateway = await Gateway.start(tessera.url, workspace, kind, undefined, api);
      const port = Number(new URL(gateway.url).port);
      try {
        const token = `Token: ${await tessera.createToken(workspace, "reader", ["rivers:read"])}`;
        expect(await handler(port, "GET", "/api/rivers", [token])).toBe("rivers");
        expect(await handler(port, "GET", "/api/rivers/7", [token])).toBe("river");

        // Without a gateway, these paths do reach the handlers that they target.
        expect(await handler(api, "GET", "/admin/..%2fapi/rivers")).toBe("admin");
        expect(await handler(api, "GET", "/api/admin/users/%2e%2e/%2e%2e/rivers")).toBe("administration");
        expect(await handler(api, "GET", "/api/rivers/%73ecret")).toBe("secret");
        if (framework === "flask") expect(await handler(api, "GET", "/api/rivers/secret/")).toBe("secret");

        const reached: string[] = [];
        for (const target of [...AMBIGUOUS, ...SECRETS]) {
          for (const method of ["GET", "POST"]) {
            const found = await handler(port, method, target, [token]);
            if (!["rivers", "river", undefined].includes(found)) reached.push(`${method} ${target}: ${found}`);
          }
        }
        expect(reached).toEqual([]);
      } finally {
        await gateway.destroy();
      }
    });
  }
});
