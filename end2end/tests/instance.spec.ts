// The Instance page, which shows the running servers to instance administrators.
import { expect, test } from "../support/fixtures.ts";
import { expectGoodLooks } from "../support/looks.ts";
import { createMember } from "../support/members.ts";

test("an administrator opens the list of servers from the sidebar and refreshes it in place", async ({
  console,
  page,
  workspace,
  scripts,
}) => {
  await console.open(`/workspaces/${workspace}`);
  const toggle = page.getByRole("button", { name: "Navigation" });
  if (await toggle.isVisible()) await toggle.click();
  await page.getByRole("link", { name: "Instance" }).click();
  await expect(console.heading).toHaveText("Instance");
  await console.settled();
  const main = page.getByRole("main");
  await expect(main).toContainText("PostgreSQL");
  const row = page.getByRole("row", { name: /This server/ });
  await expect(row).toContainText(/Live|Late/);
  await expect(row).toContainText("up to date");

  const refresh = page.getByRole("link", { name: "Refresh" });
  await refresh.focus();
  await refresh.press("Enter");
  await expect(row).toBeVisible();
  if (scripts) {
    await expect(page.locator("#live-polite")).toHaveText("Updated.");
    await expect(refresh).toBeFocused();
  }
  await expect(console.heading).toHaveText("Instance");
});

test("the page looks good", async ({ console, page }) => {
  test.slow();
  await expectGoodLooks(console, "instance", async () => {
    await console.open("/instance");
    await console.settled();
    await expect(page.getByRole("row", { name: /This server/ })).toBeVisible();
  });
});

test.describe("for a workspace administrator", () => {
  test.use({ signedIn: false });

  test("neither the page nor a link to it exists", async ({ console, page, guard, tessera, workspace }) => {
    guard.expectStatus(404);
    const { email, password } = await createMember(tessera, `member@${workspace}.example`, { workspace, role: "admin" });
    await console.open("/sign-in");
    await console.signIn(email, password);
    await expect(console.heading).toHaveText("Workspaces");
    await console.open(`/workspaces/${workspace}`);
    await expect(page.getByRole("link", { name: "Instance" })).toHaveCount(0);
    const response = await page.goto("/instance");
    expect(response?.status()).toBe(404);
    await expect(console.heading).toHaveText("Page not found");
  });
});
