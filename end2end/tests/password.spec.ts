// Passwords: changing your own, choosing one with a link, and replacing one that an administrator
// chose. Uses a separate instance, because these tests change passwords.
import { type Page } from "@playwright/test";

import type { Console } from "../support/console.ts";
import { expect, testWithOwnInstance } from "../support/fixtures.ts";
import { tabTo } from "../support/keyboard.ts";
import { expectGoodLooks } from "../support/looks.ts";
import { Tessera } from "../support/tessera.ts";

const test = testWithOwnInstance(Tessera.startWithAdmin);

test.use({ signedIn: false });

const GIVEN = "violet kettle drums outside";
const CHOSEN = "tr0mbone ladder mist drums";

const current = (page: Page) => page.getByLabel("Current password", { exact: true });
const chosen = (page: Page) => page.getByLabel("New password", { exact: true });

/** Creates a person and returns the path of the link for choosing a password. */
async function invited(tessera: Tessera, email: string): Promise<string> {
  const link = await tessera.cli(["user", "create", "--email", email, "--name", "Grace Hopper", "--link"]);
  // The command does not know the port of the test's server.
  return new URL(link).pathname;
}

/** Creates a person, chooses a password with the link and signs in. */
async function settledPerson(console: Console, tessera: Tessera, email: string): Promise<void> {
  await console.page.goto(await invited(tessera, email));
  await chosen(console.page).fill(GIVEN);
  await console.page.getByRole("button", { name: "Set password" }).click();
  await expect(console.heading).toHaveText("Sign in");
  await console.settled();
  await console.signIn(email, GIVEN);
  await expect(console.heading).toHaveText("Workspaces");
}

test("a person can choose a password with a link, once and with only the keyboard", async ({ console, page, tessera, guard }) => {
  guard.expectStatus(404, 422);
  const link = await invited(tessera, `grace-${test.info().project.name}@example.com`);
  await page.goto(link);
  await expect(console.heading).toHaveText("Choose your password");
  await tabTo(page, chosen(page));
  await page.keyboard.type("password12345678");
  await page.keyboard.press("Enter");
  await expect(console.alert).toContainText("New password is too easy to guess");
  await expect(chosen(page)).toHaveAttribute("aria-invalid", "true");
  await expect(page.getByRole("main")).toContainText(`grace-${test.info().project.name}@example.com`);
  await tabTo(page, chosen(page));
  await page.keyboard.type(CHOSEN);
  await page.keyboard.press("Enter");
  await expect(console.heading).toHaveText("Sign in");
  await expect(page.getByText("Your password was set. Sign in with it.")).toBeVisible();
  await console.settled();
  await console.signIn(`grace-${test.info().project.name}@example.com`, CHOSEN);
  await expect(console.heading).toHaveText("Workspaces");

  await page.goto(link);
  await expect(console.heading).toHaveText("This link doesn't work");
});

test("changing the password from the account menu signs out the other browser", async ({
  console, page, tessera, guard, browser,
}) => {
  guard.expectStatus(422);
  const email = `owner-${test.info().project.name}@example.com`;
  await settledPerson(console, tessera, email);
  const other = await browser.newContext({ baseURL: tessera.url, javaScriptEnabled: false });
  const elsewhere = await other.newPage();
  await elsewhere.goto("/sign-in");
  await elsewhere.getByLabel("E-mail").fill(email);
  await elsewhere.getByLabel("Password").fill(GIVEN);
  await elsewhere.getByRole("button", { name: "Sign in" }).click();
  await expect(elsewhere.getByRole("heading", { level: 1 })).toHaveText("Workspaces");

  await console.settled();
  await page.getByLabel(/^Account:/).click();
  await page.getByRole("link", { name: "Change password" }).click();
  await expect(console.heading).toHaveText("Password");
  await expect(current(page)).toHaveAttribute("autocomplete", "current-password");
  await expect(chosen(page)).toHaveAttribute("autocomplete", "new-password");

  await current(page).fill("not the password");
  await chosen(page).fill(CHOSEN);
  await page.getByRole("button", { name: "Change password" }).click();
  await expect(console.alert).toContainText("Current password is wrong");
  await expect(current(page)).toHaveAttribute("aria-invalid", "true");

  await current(page).fill(GIVEN);
  await chosen(page).fill(CHOSEN);
  await page.getByRole("button", { name: "Change password" }).click();
  await expect(console.heading).toHaveText("Workspaces");
  await expect(page.getByText("Your password was changed. Your other sessions were signed out.")).toBeVisible();
  await elsewhere.goto("/workspaces");
  await expect(elsewhere.getByRole("heading", { level: 1 })).toHaveText("Sign in");
  await other.close();
});

test("a password that an administrator chose must be changed first", async ({ console, page, tessera }) => {
  const email = `given-${test.info().project.name}@example.com`;
  await tessera.cli(["user", "create", "--email", email, "--name", "Grace Hopper"], GIVEN);
  await console.open("/sign-in");
  await console.signIn(email, GIVEN);
  await expect(console.heading).toHaveText("Password");
  await expect(page.getByRole("main")).toContainText("An administrator chose your password.");
  await page.goto("/workspaces");
  await expect(console.heading).toHaveText("Password");
  await expect(page.getByLabel("Account: Grace Hopper")).toBeVisible();
  await current(page).fill(GIVEN);
  await chosen(page).fill(CHOSEN);
  await page.getByRole("button", { name: "Change password" }).click();
  await expect(console.heading).toHaveText("Workspaces");
});

test("the pages look good", async ({ console, page, tessera, guard }) => {
  test.slow();
  guard.expectStatus(404, 422);
  const project = test.info().project.name;
  const link = await invited(tessera, `looks-${project}@example.com`);
  await expectGoodLooks(console, "password-link", async () => {
    await page.goto(link);
    await expect(console.heading).toHaveText("Choose your password");
  });
  await expectGoodLooks(console, "password-link-gone", async () => {
    await page.goto("/reset-password/none");
    await expect(console.heading).toHaveText("This link doesn't work");
  });
  const email = `looks-given-${project}@example.com`;
  await tessera.cli(["user", "create", "--email", email, "--name", "Grace Hopper"], GIVEN);
  await console.open("/sign-in");
  await console.signIn(email, GIVEN);
  await expect(console.heading).toHaveText("Password");
  await expectGoodLooks(console, "password-wrong", async () => {
    await page.goto("/account/password");
    await current(page).fill("not the password");
    await chosen(page).fill("too short");
    await page.getByRole("button", { name: "Change password" }).click();
    await expect(console.alert).toBeVisible();
  });
});
