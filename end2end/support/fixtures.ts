// What tests start from: one server per worker, a workspace and a guarded browser per test.
import { randomBytes } from "node:crypto";

import { type BrowserContext, test as base, expect } from "@playwright/test";

import { Console } from "./console.ts";
import { Guard } from "./guard.ts";
import { ADMIN, Tessera } from "./tessera.ts";

type StorageState = Awaited<ReturnType<BrowserContext["storageState"]>>;

interface PerWorker {
  /** A set-up instance; its administrator is `ADMIN`. */
  tessera: Tessera;
  /** The cookies of a signed-in administrator. */
  adminState: StorageState;
}

interface PerTest {
  /** Whether scripts run in this project. */
  scripts: boolean;
  /** A workspace of the test's own. */
  workspace: string;
  /** What the browser of this test must not do. */
  guard: Guard;
  /** The console, in the browser of a signed-in administrator. */
  console: Console;
}

interface Options {
  /** Whether the test's browser is signed in as the administrator. */
  signedIn: boolean;
}

export const test = base.extend<PerTest & Options, PerWorker>({
  tessera: [
    async ({}, use) => {
      const tessera = await Tessera.startWithAdmin();
      await use(tessera);
      await tessera.destroy();
    },
    { scope: "worker", timeout: 120_000 },
  ],

  adminState: [
    async ({ tessera, playwright }, use) => {
      const request = await playwright.request.newContext({
        baseURL: tessera.url,
        extraHTTPHeaders: { origin: tessera.url },
      });
      const { email, password } = ADMIN;
      const answer = await request.post("/sign-in", { form: { email, password }, maxRedirects: 0 });
      expect(answer.status()).toBe(303);
      await use(await request.storageState());
      await request.dispose();
    },
    { scope: "worker" },
  ],

  signedIn: [true, { option: true }],

  scripts: async ({ javaScriptEnabled }, use) => use(javaScriptEnabled !== false),

  baseURL: async ({ tessera }, use) => use(tessera.url),

  storageState: async ({ signedIn, adminState }, use) => use(signedIn ? adminState : undefined),

  workspace: async ({ tessera }, use) => {
    await use(await tessera.createWorkspace(`team-${randomBytes(4).toString("hex")}`));
  },

  guard: [
    async ({ context, tessera }, use) => {
      const guard = new Guard(tessera.url);
      guard.watch(context);
      await use(guard);
      expect(guard.violations, "what the browser met").toEqual([]);
    },
    { auto: true },
  ],

  console: async ({ page, scripts, workspace, tessera }, use) => {
    await use(new Console(page, scripts, workspace, tessera.url));
  },
});

/** The same with an instance of the file's own, which its other tests cannot disturb. */
export function testWithOwnInstance(start: () => Promise<Tessera>) {
  return test.extend({
    tessera: [
      async ({}, use) => {
        const tessera = await start();
        await use(tessera);
        await tessera.destroy();
      },
      { scope: "worker", timeout: 120_000 },
    ],
  });
}

export { expect };
