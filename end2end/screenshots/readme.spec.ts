// The screenshot at the top of the README: a list of tokens in several states.
import path from "node:path";
import { fileURLToPath } from "node:url";

import { expect, testWithOwnInstance } from "../support/fixtures.ts";
import { fillWithTokens } from "../support/sample.ts";
import { Tessera } from "../support/tessera.ts";

const PICTURE = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../docs/screenshot.png");

const test = testWithOwnInstance(Tessera.startWithAdmin);

test.use({ viewport: { width: 1280, height: 720 }, workspace: async ({}, use) => use("workspace-1") });

test("the list of tokens", async ({ console, page, tessera, workspace }) => {
  await fillWithTokens(tessera, workspace);
  await console.openTokens();
  await expect(console.row("deploy-bot")).toBeVisible();
  await page.screenshot({ path: PICTURE, animations: "disabled" });
});
