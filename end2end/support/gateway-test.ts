// Shared parts of the gateway tests: a gateway for each test, and helpers to read the API's output.
import { type Answer } from "./callers.ts";
import { expect, test as base } from "./fixtures.ts";
import { Gateway, type Kind, KINDS } from "./gateway.ts";
import { isThere } from "./programs.ts";
import { ADMIN } from "./tessera.ts";

const ID = /^[0-9a-f]{8}-[0-9a-f-]{27}$/;

/** The status codes of a gateway's own responses. */
interface Own {
  /** For a path that has no route. */
  path: number;
  /** For a path that has a route, but not for this method. */
  method: number;
  /** While Tessera is down. */
  down: number;
  /** While Tessera hangs. */
  hangs: number;
  /** The gateway's timeout for Tessera, in seconds. */
  patience: number;
}

const OWN: Record<Kind, Own> = {
  nginx: { path: 404, method: 405, down: 503, hangs: 503, patience: 5 },
  caddy: { path: 403, method: 403, down: 502, hangs: 504, patience: 5 },
  traefik: { path: 404, method: 404, down: 500, hangs: 500, patience: 30 },
  envoy: { path: 404, method: 404, down: 503, hangs: 503, patience: 5 },
};

/** Forged identity headers, in every spelling. */
export const CLAIMS = ["Token-Id", "User", "User-Id", "Workspace", "Scopes", "Code", "Stale"].flatMap((name) => [
  ...["-H", `X-Tessera-${name}: evil`],
  ...["-H", `x-tessera-${name.toLowerCase()}: evil`],
  ...["-H", `X_Tessera_${name.replace("-", "_")}: evil`],
  ...["-H", `x-tessera_${name.toLowerCase()}: evil`],
]);

export const test = base.extend<{ kind: Kind; gateway: Gateway; api: string }>({
  kind: ["nginx", { option: true }],
  gateway: async ({ tessera, workspace, kind }, use) => {
    const gateway = await Gateway.start(tessera.url, workspace, kind);
    await use(gateway);
    await gateway.destroy();
  },
  api: async ({ gateway }, use) => use(`${gateway.url}/api/run`),
});

/** Runs the same tests with each gateway. */
export function withEach(tests: (kind: Kind, own: Own) => void): void {
  test.skip(({ scripts }) => !scripts, "this test doesn't use a browser");
  for (const kind of KINDS) {
    test.describe(kind, () => {
      test.use({ kind });
      // Not every vendor has a program for every system. Continuous integration has all of them.
      test.skip(() => !process.env.CI && !isThere(kind), `${kind} is not installed`);
      tests(kind, OWN[kind]);
    });
  }
}

export interface Told {
  method: string;
  url: string;
  headers: [string, string][];
  body: string;
}

/** Returns the request that the API received. */
export function told(answer: Answer): Told {
  expect(answer.status, answer.body).toBe(200);
  return JSON.parse(answer.body) as Told;
}

/** Returns the identity headers that the API received. */
export function identity(answer: Answer): Record<string, string> {
  const headers = told(answer).headers.filter(([name]) => /^x.tessera/.test(name));
  expect(new Set(headers.map(([name]) => name)).size, "no header occurs twice").toBe(headers.length);
  return Object.fromEntries(headers);
}

/** The identity headers that Tessera sets for a token of the administrator. */
export const known = (workspace: string, scope: RegExp) => ({
  "x-tessera-token-id": expect.stringMatching(ID),
  "x-tessera-user": ADMIN.email,
  "x-tessera-user-id": expect.stringMatching(ID),
  "x-tessera-workspace": workspace,
  "x-tessera-scopes": expect.stringMatching(scope),
});
