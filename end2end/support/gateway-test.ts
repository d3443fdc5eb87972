// What the tests of gateways share: a gateway for each test, and how to read what its API was told.
import { type Answer } from "./callers.ts";
import { expect, test as base } from "./fixtures.ts";
import { Gateway, type Kind, KINDS } from "./gateway.ts";
import { isThere } from "./programs.ts";
import { ADMIN } from "./tessera.ts";

const ID = /^[0-9a-f]{8}-[0-9a-f-]{27}$/;

/** What a gateway answers by itself. */
interface Own {
  /** To a path that nobody named. */
  path: number;
  /** To another method of a path that somebody named. */
  method: number;
  /** When Tessera is down. */
  down: number;
  /** When Tessera hangs. */
  hangs: number;
  /** The longest that it waits then, in seconds. */
  patience: number;
}

const OWN: Record<Kind, Own> = {
  nginx: { path: 404, method: 405, down: 503, hangs: 503, patience: 5 },
  caddy: { path: 403, method: 403, down: 502, hangs: 504, patience: 5 },
  traefik: { path: 404, method: 404, down: 500, hangs: 500, patience: 30 },
  envoy: { path: 404, method: 404, down: 503, hangs: 503, patience: 5 },
};

/** Identity headers of a caller's own making, in every way of writing them. */
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

/** The same tests with each gateway. */
export function withEach(tests: (kind: Kind, own: Own) => void): void {
  test.skip(({ scripts }) => !scripts, "no browser takes part");
  for (const kind of KINDS) {
    test.describe(kind, () => {
      test.use({ kind });
      // Not every maker has a program for every system; continuous integration has all.
      test.skip(() => !process.env.CI && !isThere(kind), `${kind} is not on this machine`);
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

/** What the API was told. */
export function told(answer: Answer): Told {
  expect(answer.status, answer.body).toBe(200);
  return JSON.parse(answer.body) as Told;
}

/** What it was told of its caller. */
export function identity(answer: Answer): Record<string, string> {
  const headers = told(answer).headers.filter(([name]) => /^x.tessera/.test(name));
  expect(new Set(headers.map(([name]) => name)).size, "no header comes twice").toBe(headers.length);
  return Object.fromEntries(headers);
}

/** A caller's identity as Tessera gives it. */
export const known = (workspace: string, scope: RegExp) => ({
  "x-tessera-token-id": expect.stringMatching(ID),
  "x-tessera-user": ADMIN.email,
  "x-tessera-user-id": expect.stringMatching(ID),
  "x-tessera-workspace": workspace,
  "x-tessera-scopes": expect.stringMatching(scope),
});
