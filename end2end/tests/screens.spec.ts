// Every screen in light and dark, wide and narrow: no axe violations, no sideways scrolling and no
// console messages. Writes screenshots to test-results/screens/ for review.
import { Console } from "../support/console.ts";
import { expect, test, testWithOwnInstance } from "../support/fixtures.ts";
import { expectGoodLooks } from "../support/looks.ts";
import { createMember } from "../support/members.ts";
import { fillWithTokens } from "../support/sample.ts";
import { Tessera } from "../support/tessera.ts";

test.slow();

/** Opens a path and expects a response with `status`. */
async function openAnswering(console: Console, path: string, status: number): Promise<void> {
  const answer = await console.page.goto(path);
  expect(answer!.status()).toBe(status);
  await console.settled();
}

test("workspaces, overview and settings look good", async ({ console, tessera, workspace }) => {
  await fillWithTokens(tessera, workspace);
  await expectGoodLooks(console, "workspaces", () => console.open("/workspaces"));
  await expectGoodLooks(console, "overview", () => console.open(`/workspaces/${workspace}`));
  await expectGoodLooks(console, "settings-nobody", () => console.open(`/workspaces/${workspace}/settings`));
  await expectGoodLooks(console, "settings", () => console.open("/workspaces/workspace-1/settings"));
});

test("the list of tokens looks good when full, when empty and without matches", async ({ console, tessera, workspace }) => {
  await expectGoodLooks(console, "tokens-empty", () => console.openTokens());
  await fillWithTokens(tessera, workspace);
  await expectGoodLooks(console, "tokens", () => console.openTokens());
  await expectGoodLooks(console, "tokens-no-match", () => console.openTokens("?q=qwerty"));
});

test("the menu of a row looks good", async ({ console, page, tessera, workspace }) => {
  await fillWithTokens(tessera, workspace);
  await expectGoodLooks(console, "row-menu", async () => {
    await console.openTokens();
    await page.getByRole("button", { name: "More for deploy-bot" }).click();
    await expect(page.getByRole("link", { name: "Rotate", exact: true })).toBeVisible();
  });
});

test("an open menu looks good", async ({ console, page }) => {
  await expectGoodLooks(console, "account-menu", async () => {
    await console.openTokens();
    await page.getByLabel(/^Account:/).click();
    await expect(page.getByRole("button", { name: "Sign out" })).toBeVisible();
  });
});

test("the restrictions of a new token look good", async ({ console, page }) => {
  await expectGoodLooks(console, "new-restrictions", async () => {
    await console.open(`${console.tokensPath}/new`);
    await page.getByText("Restrictions", { exact: true }).click();
    await page.getByLabel("Allowed addresses").fill("10.0.0.0/8");
    await page.getByLabel("Rate limit").fill("600/60s");
  });
});

test("dialogs look good as pages", async ({ console, page, tessera, workspace, guard }) => {
  await fillWithTokens(tessera, workspace);
  const tokens = await tessera.tokens(workspace);
  const { id } = tokens.find(({ name }) => name === "deploy-bot")!;
  await expectGoodLooks(console, "new", () => console.open(`${console.tokensPath}/new`));
  await expectGoodLooks(console, "view", () => console.open(`${console.tokensPath}/${id}`));
  await expectGoodLooks(console, "delete", () => console.open(`${console.tokensPath}/${id}/delete`));
  for (const form of ["edit", "rotate", "disable"]) {
    await expectGoodLooks(console, form, () => console.open(`${console.tokensPath}/${id}/${form}`));
  }
  guard.expectStatus(422);
  await expectGoodLooks(console, "new-errors", async () => {
    await console.open(`${console.tokensPath}/new`);
    await console.fillToken({ name: "x".repeat(200), scopes: [] });
    await console.pressCreate();
    await expect(console.panel.getByRole("alert")).toBeVisible();
  });
  await expectGoodLooks(console, "reveal", async () => {
    await console.open(`${console.tokensPath}/new`);
    await console.fillToken({ name: "shown once", scopes: ["rivers:run"] });
    await console.pressCreate();
    await expect(console.secret).toBeVisible();
  });
  expect(page.url()).toContain("/new");
});

test("dialogs look good over the list", async ({ console, tessera, workspace, scripts }) => {
  test.skip(!scripts, "without JavaScript, dialogs are pages");
  await fillWithTokens(tessera, workspace);
  await expectGoodLooks(console, "new-over-list", async () => {
    await console.openTokens();
    await console.openAddToken();
  });
  await expectGoodLooks(console, "reveal-over-list", async () => {
    await console.openTokens();
    await console.addToken({ name: "shown once", scopes: ["rivers:run"] });
  });
  await expectGoodLooks(console, "view-over-list", async () => {
    await console.openTokens();
    await console.openView("deploy-bot");
  });
  await expectGoodLooks(console, "delete-over-list", async () => {
    await console.openTokens();
    await console.openDelete("deploy-bot");
  });
});

test("the page for an ended session looks good", async ({ console, page, context, guard }) => {
  guard.expectStatus(401);
  const state = await context.cookies();
  await expectGoodLooks(console, "new-session", async () => {
    await context.addCookies(state);
    await console.open(`${console.tokensPath}/new`);
    await console.fillToken({ name: "typed before", scopes: ["rivers:run"] });
    await context.clearCookies({ name: "tessera" });
    await console.pressCreate();
    await expect(page.getByText(/session has ended/i).first()).toBeVisible();
  });
});

test("the not-found page looks good", async ({ console, guard }) => {
  guard.expectStatus(404);
  await expectGoodLooks(console, "not-found", () => openAnswering(console, "/nowhere", 404));
});

test("the API reference looks good", async ({ console }) => {
  await expectGoodLooks(console, "api-docs", async () => {
    await console.page.goto("/api/docs");
    await expect(console.heading.first()).toBeVisible();
  });
});

test.describe("signed out", () => {
  test.use({ signedIn: false });

  test("sign-in looks good", async ({ console, page, guard }) => {
    guard.expectStatus(401);
    await expectGoodLooks(console, "sign-in", () => console.open("/sign-in"));
    await expectGoodLooks(console, "sign-in-error", async () => {
      await console.open("/sign-in");
      await console.signIn("nobody@example.com", "not the password");
      await expect(page.getByRole("alert").filter({ hasText: /wrong/i })).toBeVisible();
    });
  });

  test("a member's overview and the forbidden page look good", async ({ console, guard, tessera, workspace }) => {
    guard.expectStatus(403);
    const { email, password } = await createMember(tessera, `grace@${workspace}.example`, { workspace, role: "member" });
    await console.open("/sign-in");
    await console.signIn(email, password);
    await expect(console.heading).toHaveText("Workspaces");
    await expectGoodLooks(console, "forbidden", () => openAnswering(console, console.tokensPath, 403));
    await expectGoodLooks(console, "overview-of-member", () => console.open(`/workspaces/${workspace}`));
  });
});

const fresh = testWithOwnInstance(Tessera.start).extend({
  storageState: async ({}, use) => use(undefined),
  workspace: async ({}, use) => use("workspace-1"),
});

fresh("the setup page looks good", async ({ console, tessera, page, guard }) => {
  guard.expectStatus(422);
  await expectGoodLooks(console, "setup", () => console.open(tessera.setupLink!));
  await expectGoodLooks(console, "setup-errors", async () => {
    await console.open(tessera.setupLink!);
    await page.getByLabel("Your name").fill("Ada");
    await page.getByLabel("Password").fill("short");
    await page.getByRole("button", { name: "Set up Tessera" }).click();
    await expect(page.getByRole("alert").filter({ hasText: /fields to continue|password/i }).first()).toBeVisible();
    await expect(page.getByLabel("Your name")).toHaveValue("Ada");
  });
});
