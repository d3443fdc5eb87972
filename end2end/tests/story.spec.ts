// The complete path of a new administrator: from the printed setup link to a token that a real API
// accepts, and rejects after it is deleted. The steps use the words of the product's own document.
import { Gateway } from "../support/gateway.ts";
import { type Answer, curl, pythonRequests, RIVER_ID } from "../support/callers.ts";
import { expect, testWithOwnInstance } from "../support/fixtures.ts";
import { ADMIN, Tessera } from "../support/tessera.ts";

// An instance that is not set up.
const test = testWithOwnInstance(Tessera.start).extend<object, { gateway: Gateway }>({
  gateway: [
    async ({ tessera }, use) => {
      const gateway = await Gateway.start(tessera.url, "workspace-1");
      await use(gateway);
      await gateway.destroy();
    },
    { scope: "worker" },
  ],
  workspace: async ({}, use) => use("workspace-1"),
  storageState: async ({}, use) => use(undefined),
});

test("a new administrator creates a token that a real API accepts, and deletes it", async ({
  tessera, gateway, console, page, context, scripts, guard,
}) => {
  test.slow();
  const api = `${gateway.url}/api/run`;
  /** Makes the same call with both documented clients. */
  const call = async (token: string): Promise<Answer[]> =>
    Promise.all([curl(api, token), pythonRequests(api, token)]);
  const expectRefused = (answer: Answer) => {
    expect(answer.status).toBe(401);
    expect(answer.headers.get("www-authenticate")).toMatch(/^Bearer/i);
  };

  await test.step("Open the printed link and set Tessera up", async () => {
    expect(tessera.setupLink, tessera.log).toBeDefined();
    await console.open(tessera.setupLink!);
    await page.getByLabel("Your name").fill(ADMIN.name);
    await page.getByLabel("E-mail").fill(ADMIN.email);
    await page.getByLabel("Password").fill(ADMIN.password);
    await page.getByLabel("Organisation").fill("Analytical Engines");
    await expect(page.getByLabel("First workspace")).toHaveValue("Workspace 1");
    await page.getByRole("button", { name: "Set up Tessera" }).click();
    await expect(page).not.toHaveURL(/\/setup\//);
  });

  await test.step("Sign out and in again", async () => {
    await console.settled();
    await console.signOut(ADMIN.name);
    await expect(console.heading).toHaveText("Sign in");
    await console.settled();
    await console.signIn(ADMIN.email, ADMIN.password);
    await expect(console.heading).toHaveText("Workspaces");
  });

  await test.step("On the left side navigation bar, go to Settings → API Tokens", async () => {
    await page.getByRole("main").getByRole("link", { name: "Workspace 1" }).click();
    const navigation = page.getByRole("navigation", { name: "Workspace" });
    await navigation.getByRole("link", { name: "Settings" }).click();
    await expect(console.heading).toHaveText("Workspace Settings");
    await navigation.getByRole("link", { name: "API Tokens" }).click();
    await expect(console.heading).toHaveText("API Tokens");
    await expect(page.getByText("No tokens yet")).toBeVisible();
  });

  await test.step("Add Token; Cancel stops the process", async () => {
    await console.settled();
    await console.openAddToken();
    await console.panel.getByRole("link", { name: "Cancel" }).click();
    await expect(console.panel).toBeHidden();
    await expect(page.getByText("No tokens yet")).toBeVisible();
  });

  const secret = await test.step("Add Token: name and scopes from the tree, then Create", async () => {
    await console.openAddToken();
    const rivers = console.panel.locator("details").filter({ hasText: "rivers:run" });
    await rivers.locator("summary").click();
    const folded = await rivers.evaluate((group: HTMLDetailsElement) => group.open);
    await rivers.locator("summary").click();
    await expect(rivers).toHaveJSProperty("open", !folded);
    const run = await console.scope("rivers:run");
    await expect(run).toHaveAccessibleDescription(/run/i);

    await console.fillToken({ name: "deploy-bot", description: "Starts rivers", scopes: ["rivers:run"] });
    await console.pressCreate();
    await expect(console.secret).toHaveValue(/^tsr_[0-9A-Za-z]{36}$/);
    await expect(page).not.toHaveURL(/tsr_/);
    return console.secret.inputValue();
  });

  await test.step("The token can only be viewed now: copy it", async () => {
    if (scripts) {
      await console.copyToken();
    } else {
      await console.secret.focus();
      await page.keyboard.press("ControlOrMeta+A");
      await page.keyboard.press("ControlOrMeta+C");
    }
  });

  await test.step("Done closes the screen; the list has the new token", async () => {
    await console.done.click();
    await expect(console.panel).toBeHidden();
    await expect(console.row("deploy-bot")).toContainText("Ada Lovelace");
    await expect(console.row("deploy-bot")).toContainText("rivers:run");
    await expect(console.row("deploy-bot").getByRole("time").first()).toBeVisible();
    await console.settled();
    // The clipboard contains the token, but the page does not.
    const search = page.getByRole("searchbox", { name: /Search/ });
    await search.focus();
    await page.keyboard.press("ControlOrMeta+V");
    await expect(search).toHaveValue(secret);
    await search.fill("");
    expect(await page.content()).not.toContain(secret);
  });

  await test.step("The documented calls run a River", async () => {
    for (const answer of await call(secret)) {
      expect(answer.status, answer.body).toBe(200);
      const ran = JSON.parse(answer.body) as { river_id: string; headers: [string, string][] };
      expect(ran.river_id).toBe(RIVER_ID);
      const told = new Map(ran.headers);
      expect(told.get("x-tessera-workspace")).toBe("workspace-1");
      expect(told.get("x-tessera-user")).toBe(ADMIN.email);
      expect(told.get("x-tessera-scopes")).toContain("rivers:run");
      expect(told.get("x-tessera-token-id")).toMatch(/^[0-9a-f-]{36}$/);
      expect(told.has("authorization")).toBe(false);
    }
  });

  await test.step("A token without the scope gets 403; unknown and expired tokens get 401", async () => {
    const reader = await tessera.createToken("workspace-1", "reader", ["rivers:read"]);
    for (const answer of await call(reader)) {
      expect(answer.status).toBe(403);
      expect(answer.headers.get("www-authenticate")).toContain("insufficient_scope");
    }
    const mistyped = secret.slice(0, -1) + (secret.endsWith("0") ? "1" : "0");
    for (const answer of await call(mistyped)) expectRefused(answer);
    for (const answer of await call("XYZ")) expectRefused(answer);
    expectRefused(await curl(api, undefined));

    // The command must create the token before it expires, even on a busy machine.
    const soon = new Date(Date.now() + 8_000).toISOString();
    const brief = await tessera.createToken("workspace-1", "brief", ["rivers:run"], ["--expires-in", soon]);
    await expect.poll(async () => (await curl(api, brief)).status, { timeout: 30_000 }).toBe(401);
    for (const answer of await call(brief)) expectRefused(answer);
  });

  await test.step("View shows the scopes that have been assigned", async () => {
    await console.openTokens();
    await expect(console.row("brief")).toContainText("Expired");
    await console.openView("deploy-bot");
    await expect(console.granted("rivers:run")).toBeVisible();
    await expect(console.panel).toContainText("Ada Lovelace");
    await expect(console.panel).not.toContainText(secret);
    await console.panel.getByRole("link", { name: "Close" }).last().click();
    await expect(console.panel).toBeHidden();
  });

  await test.step("The trash can asks for confirmation, and Cancel keeps the token", async () => {
    await console.openDelete("deploy-bot");
    await expect(console.panel).toContainText("A token can never be used again once it has been deleted");
    await console.panel.getByRole("link", { name: "Cancel" }).click();
    await expect(console.row("deploy-bot")).toBeVisible();
    for (const answer of await call(secret)) expect(answer.status).toBe(200);
  });

  await test.step("The first call after the deletion is rejected", async () => {
    const letThrough = await gateway.callsLetThrough();
    await console.openDelete("deploy-bot");
    await console.confirmDelete();
    await expect(console.row("deploy-bot")).toHaveCount(0);
    for (const answer of await call(secret)) expectRefused(answer);
    expect(await gateway.callsLetThrough()).toBe(letThrough);
  });

  await test.step("The setup link no longer works, and the log contains no credentials", async () => {
    guard.expectStatus(404);
    const answer = await page.goto(tessera.setupLink!);
    expect(answer?.status()).toBe(404);
    for (const private_ of [secret, ADMIN.password, (await context.cookies())[0]?.value ?? "no cookie"]) {
      expect(tessera.log).not.toContain(private_);
    }
  });
});
