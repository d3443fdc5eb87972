// Fixtures: one server for each worker, and a workspace and a guarded browser for each test.
import { randomBytes } from "node:crypto";

import { type BrowserContext, test as base, expect } from "@playwright/test";

import { Console } from "./console.ts";
import { Guard } from "./guard.ts";
import { ADMIN, Tessera } from "./tessera.ts";

type StorageState = Awaited<ReturnType<BrowserContext["storageState"]>>;

interface PerWorker {
  /** An instance that is set up with the administrator `ADMIN`. */
  tessera: Tessera;
  /** The cookies of a signed-in administrator. */
  adminState: StorageState;
}

interface PerTest {
  /** Whether JavaScript is enabled in this project. */
  scripts: boolean;
  /** The slug of a workspace that only this test uses. */
  workspace: string;
  /** Records what the test's browser must not do. */
  guard: Guard;
  /** The console in the browser of the signed-in administrator. */
  console: Console;
}

interface Options {
  /** Whether the browser is signed in as the administrator. */
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
      expect(guard.violations, "violations in the browser").toEqual([]);
    },
    { auto: true },
  ],

  console: async ({ page, scripts, workspace, tessera }, use) => {
    await use(new Console(page, scripts, workspace, tessera.url));
  },
});

/** Like `test`, but with an instance that only this file uses, so that tests in other files cannot
 * disturb it. */
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
