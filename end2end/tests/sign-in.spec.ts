// Signing in with right and wrong passwords. Uses a separate instance, because throttling counts
// attempts for each address, and all tests have the same address.
import { expect, testWithOwnInstance } from "../support/fixtures.ts";
import { ADMIN, Tessera } from "../support/tessera.ts";

const test = testWithOwnInstance(Tessera.startWithAdmin);

test.use({ signedIn: false });
test.describe.configure({ mode: "default" });

test("sign-in shows the same error for an unknown person and a wrong password", async ({ console, page, guard, scripts }) => {
  guard.expectStatus(401);
  const said: string[] = [];
  for (const email of [ADMIN.email, "nobody@example.com"]) {
    await console.open("/sign-in");
    await console.signIn(email, "not the password");
    const alert = page.getByRole("alert").filter({ hasText: /wrong/i });
    await expect(alert).toBeVisible();
    await expect(page.getByLabel("E-mail")).toHaveValue(email);
    // The server never returns a password.
    if (!scripts) await expect(page.getByLabel("Password")).toHaveValue("");
    said.push((await alert.textContent())!.trim());
  }
  expect(said[0]).toBe(said[1]);
  expect(said[0]).toMatch(/e-mail address or password is wrong/i);
});

test("a person can sign in after a wrong password", async ({ console, page, guard }) => {
  guard.expectStatus(401);
  await console.open("/sign-in");
  await console.signIn(ADMIN.email, "not the password");
  await expect(page.getByRole("alert").filter({ hasText: /wrong/i })).toBeVisible();
  await console.signIn(` ${ADMIN.email.toUpperCase()} `, ADMIN.password);
  await expect(console.heading).toHaveText("Workspaces");
});

test("password managers can fill in the password", async ({ console, page }) => {
  await console.open("/sign-in");
  await expect(page.getByLabel("E-mail")).toHaveAttribute("autocomplete", /username|email/);
  await expect(page.getByLabel("Password")).toHaveAttribute("autocomplete", "current-password");
  await expect(page.getByLabel("Password")).toHaveAttribute("type", "password");
});

test("many wrong passwords throttle sign-in, and the page shows the waiting time", async ({ console, page, guard }) => {
  guard.expectStatus(401, 429);
  const email = `guessed-${test.info().project.name}@example.com`;
  const throttled = page.getByRole("alert").filter({ hasText: /too many/i });
  const wrong = page.getByRole("alert").filter({ hasText: /wrong/i });
  await console.open("/sign-in");
  for (let attempt = 1; !(await throttled.isVisible()); attempt += 1) {
    expect(attempt, "attempts before throttling").toBeLessThan(50);
    const answered = page.waitForResponse((answer) => answer.request().method() === "POST");
    await console.signIn(email, "not the password");
    await answered;
    await expect(throttled.or(wrong)).toBeVisible();
  }
  await expect(throttled).toContainText(/second|minute/i);
});
