// What people and attackers type: answered clearly, kept where it was typed, harmless everywhere.
import type { Page } from "@playwright/test";

import { expect, test } from "../support/fixtures.ts";
import { ADMIN } from "../support/tessera.ts";

const MARKUP = [
  `<script>window.owned=1</script>`,
  `<img src=x onerror="window.owned=1">`,
  `</textarea><script>window.owned=1</script>`,
  `"><svg onload=window.owned=1>`,
  `' onfocus=window.owned=1 autofocus='`,
  `</title></style><script>window.owned=1</script>`,
  `{{window.owned=1}} \${window.owned=1} <!-- -->`,
  `javascript:window.owned=1`,
];

const CREATED_BEFORE = /already created|has created its token before/i;

/** Nothing that was typed became an element, an attribute or a script. */
async function expectInert(page: Page): Promise<void> {
  const found = await page.evaluate(() => ({
    owned: "owned" in window,
    images: document.querySelectorAll("img").length,
    handlers: [...document.querySelectorAll("*")].filter((element) =>
      element.getAttributeNames().some((name) => name.startsWith("on")),
    ).length,
    scripts: [...document.querySelectorAll("script")].filter((script) => script.textContent?.includes("owned=1") && script.type !== "application/json" && !script.nonce).length,
  }));
  expect(found).toEqual({ owned: false, images: 0, handlers: 0, scripts: 0 });
}

test("markup in every text field is text on every page", async ({ console, page }) => {
  for (const markup of MARKUP) {
    await console.openTokens();
    await console.addToken({ name: markup, description: markup, scopes: ["rivers:read"] });
    await expect(console.panel).toContainText(markup);
    await expectInert(page);
    await console.pressDone();
    await expect(console.row(markup)).toBeVisible();
    await expectInert(page);

    await console.settled();
    await console.openView(markup);
    await expectInert(page);
    const view = page.url();
    await console.open(view);
    await expect(console.panel.getByRole("heading", { name: markup })).toBeVisible();
    await expectInert(page);

    await console.open(`${view}/delete`);
    await expect(console.panel).toContainText(markup);
    await expectInert(page);

    await console.openTokens(`?q=${encodeURIComponent(markup)}`);
    await expect(page.getByRole("searchbox", { name: /Search/ })).toHaveValue(markup);
    await expect(console.row(markup)).toBeVisible();
    await expectInert(page);
  }
  // The activity list of the overview names what was made.
  await console.open(`/workspaces/${console.workspace}`);
  await expect(page.getByRole("main")).toContainText(MARKUP[0]);
  await expectInert(page);
});

test("markup that is refused comes back as text in its field", async ({ console, page, guard }) => {
  guard.expectStatus(422);
  await console.open(`${console.tokensPath}/new`);
  for (const markup of MARKUP) {
    // Without a scope the form is refused.
    await console.panel.getByLabel("Name", { exact: true }).fill(markup);
    await console.panel.getByLabel(/^Description/).fill(markup);
    await console.panel.getByText("Restrictions").click();
    const addresses = console.panel.getByLabel(/^Allowed addresses/);
    if (!(await addresses.isVisible())) await console.panel.getByText("Restrictions").click();
    await addresses.fill(markup);
    await console.pressCreate();
    await expect(console.panel.getByRole("alert")).toBeVisible();
    await expect(console.panel.getByLabel("Name", { exact: true })).toHaveValue(markup);
    await expect(console.panel.getByLabel(/^Description/)).toHaveValue(markup);
    await expect(addresses).toHaveValue(markup);
    await expectInert(page);
  }
});

test("markup in the address is text, too", async ({ console, page, guard }) => {
  guard.expectStatus(400, 404, 422);
  for (const markup of MARKUP) {
    const text = encodeURIComponent(markup);
    for (const path of [`/${text}`, `/workspaces/${text}`, `${console.tokensPath}/${text}`, `${console.tokensPath}?state=${text}&sort=${text}&cursor=${text}`, `/sign-in?next=${text}`]) {
      await page.goto(path);
      await expect(console.heading).toBeVisible();
      await expectInert(page);
    }
  }
});

test("a name that is empty or too long is refused clearly and kept", async ({ console, guard, tessera, workspace }) => {
  guard.expectStatus(422);
  await console.openTokens();
  await console.openAddToken();
  const name = console.panel.getByLabel("Name", { exact: true });
  for (const [typed, complaint] of [
    ["", /must not be empty/],
    ["   ", /must not be empty/],
    ["x".repeat(10_000), /at most 128 characters; this has 10000/],
  ] as const) {
    await console.fillToken({ name: typed, description: "what I typed", scopes: ["rivers:run", "teams:read"] });
    await console.pressCreate();
    await expect(console.panel.getByRole("alert")).toContainText(complaint);
    await expect(name).toHaveAttribute("aria-invalid", "true");
    await expect(name).toHaveAccessibleDescription(complaint);
    await expect(name).toHaveValue(typed);
    await expect(console.panel.getByLabel(/^Description/)).toHaveValue("what I typed");
    await expect(await console.scope("rivers:run")).toBeChecked();
    await expect(await console.scope("teams:read")).toBeChecked();
    await expect(await console.scope("users:read")).not.toBeChecked();
  }
  await console.fillToken({ name: "at last", scopes: [] });
  await console.pressCreate();
  await expect(console.secret).toBeVisible();
  await console.pressDone();
  await expect(console.row("at last")).toContainText("what I typed");
  expect(await tessera.tokens(workspace)).toHaveLength(1);
});

test("a description of 10,000 characters is refused clearly and kept", async ({ console, guard }) => {
  guard.expectStatus(422);
  await console.open(`${console.tokensPath}/new`);
  const description = "é".repeat(10_000);
  await console.fillToken({ name: "long", description, scopes: ["rivers:read"] });
  await console.pressCreate();
  await expect(console.panel.getByRole("alert")).toContainText(/at most 1000 characters; this has 10000/);
  await expect(console.panel.getByLabel(/^Description/)).toHaveValue(description);
});

test("a token without a scope is refused at the scopes", async ({ console, page, guard }) => {
  guard.expectStatus(422);
  await console.open(`${console.tokensPath}/new`);
  await console.fillToken({ name: "nothing", scopes: [] });
  await console.pressCreate();
  const alert = console.panel.getByRole("alert");
  await expect(alert).toContainText(/scope/i);
  await alert.getByRole("link", { name: /scope/i }).click();
  await expect(page).toHaveURL(/#scopes$/);
});

test("NUL and reordering characters are refused by name", async ({ tessera, adminState, playwright, console }) => {
  const browser = await playwright.request.newContext({
    baseURL: tessera.url,
    storageState: adminState,
    extraHTTPHeaders: { origin: tessera.url, accept: "application/json" },
  });
  for (const [text, code] of [["a\0b", "U+0000"], ["a\u202Eb", "U+202E"], ["a\u0007b", "U+0007"]]) {
    const form = { name: text, audience: "default", scope: "rivers:read", expires: "30d" };
    const answer = await browser.post(`${console.tokensPath}/new`, { form });
    expect(answer.status()).toBe(422);
    expect(answer.headers()["content-type"]).toContain("application/problem+json");
    expect(await answer.text()).toContain(code);
  }
  await browser.dispose();
});

test("a NUL in a form shows the form again, with the error", async ({ console, page, guard }) => {
  guard.expectStatus(422);
  await console.open(`${console.tokensPath}/new`);
  await console.fillToken({ name: "before", scopes: ["rivers:read"] });
  // No keyboard types a NUL; a program that fills forms can.
  await console.panel.getByLabel("Name", { exact: true }).evaluate((field: HTMLInputElement) => {
    field.value = "a\0b";
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });
  await console.pressCreate();
  await expect(console.panel.getByRole("alert")).toContainText("U+0000");
  await expect(await console.scope("rivers:read")).toBeChecked();
  await expect(page.getByLabel("Name", { exact: true })).toHaveAttribute("aria-invalid", "true");
});

test("right-to-left text, emoji and combining characters are shown as typed", async ({ console }) => {
  for (const name of ["فريق التكامل", "צוות 7", "🚀👩‍👩‍👧‍👦 deploy", "Zoë Ångström", "日本語のトークン", "e\u0301"]) {
    await console.openTokens();
    await console.addToken({ name, description: `${name} — beschreibt`, scopes: ["rivers:read"] });
    await console.pressDone();
    await expect(console.row(name)).toBeVisible();
    await console.settled();
    await console.openView(name);
  }
});

test("an API and a scope that are not known are refused", async ({ tessera, adminState, playwright, console }) => {
  const browser = await playwright.request.newContext({
    baseURL: tessera.url,
    storageState: adminState,
    extraHTTPHeaders: { origin: tessera.url, accept: "application/json" },
  });
  const good = { name: "x", audience: "default", scope: "rivers:read", expires: "30d" };
  for (const [field, value, atFault = field] of [
    ["scope", "rivers:fly", "scopes"],
    ["scope", "*", "scopes"],
    ["scope", "RIVERS:READ", "scopes"],
    ["audience", "nobody", "audiences"],
    ["expires", "soon", "expires_at"],
    ["expires", "-1d", "expires_at"],
    ["ip_allow", "10.0.0.0/64"],
    ["user", "nobody@example.com"],
  ]) {
    const answer = await browser.post(`${console.tokensPath}/new`, { form: { ...good, [field]: value } });
    expect(answer.status(), `${field}=${value}: ${await answer.text()}`).toBe(422);
    const problem = (await answer.json()) as { code: string; errors: { field: string }[] };
    expect(problem.code).toBe("validation_failed");
    expect(problem.errors.map((error) => error.field)).toContain(atFault);
  }
  await browser.dispose();
});

test("bodies that are too large, of another kind or broken are refused", async ({
  tessera, adminState, playwright, console,
}) => {
  const browser = await playwright.request.newContext({
    baseURL: tessera.url,
    storageState: adminState,
    extraHTTPHeaders: { origin: tessera.url },
  });
  const post = (data: string | Buffer, type: string) =>
    browser.post(`${console.tokensPath}/new`, { data, headers: { "content-type": type } });
  const form = "application/x-www-form-urlencoded";
  expect((await post(`name=${"x".repeat(10 * 1024 * 1024)}`, form)).status()).toBe(413);
  expect((await post(`{"name":"x"}`, "application/json")).status()).toBe(415);
  expect((await post(`name=x`, "text/plain")).status()).toBe(415);
  expect([400, 422]).toContain((await post(Buffer.from("name=%ff%fe&scopes=rivers:read", "latin1"), form)).status());
  expect([400, 422]).toContain((await post("", form)).status());
  await browser.dispose();
});

test("a session that ends in the middle of the form keeps what was typed", async ({
  console, page, context, guard, tessera, playwright, scripts,
}) => {
  guard.expectStatus(401);
  const endings = {
    "the cookie is gone": () => context.clearCookies(),
    "the server ended it": async () => {
      const state = await context.storageState();
      const other = await playwright.request.newContext({
        baseURL: tessera.url, storageState: state, extraHTTPHeaders: { origin: tessera.url }, maxRedirects: 0,
      });
      expect((await other.post("/sign-out", { form: {} })).status()).toBe(303);
      await other.dispose();
    },
  };
  for (const [name, end] of Object.entries(endings)) {
    // A session of its own: the worker's other tests share the administrator's.
    await context.clearCookies();
    await console.open("/sign-in");
    await console.signIn(ADMIN.email, ADMIN.password);
    await expect(console.heading).toHaveText("Workspaces");
    await console.open(`${console.tokensPath}/new`);
    await console.fillToken({ name, description: "kept", scopes: ["rivers:run"] });
    await end();
    await console.pressCreate();
    await expect(page.getByText("Your session has ended")).toBeVisible();
    // Without scripts the answer is a page that keeps what was typed and can send it again.
    if (scripts) {
      await expect(page.getByLabel("Name", { exact: true })).toHaveValue(name);
      await expect(page.getByLabel(/^Description/)).toHaveValue("kept");
    } else {
      await expect(page.getByRole("main")).toContainText(name);
      await expect(page.getByRole("main")).toContainText("kept");
    }

    const [signIn] = await Promise.all([
      context.waitForEvent("page"),
      page.getByRole("alert").getByRole("link", { name: /Sign in/ }).click(),
    ]);
    await signIn.getByLabel("E-mail").fill(ADMIN.email);
    await signIn.getByLabel("Password").fill(ADMIN.password);
    await signIn.getByRole("button", { name: "Sign in" }).click();
    await expect(signIn.getByRole("heading", { level: 1 })).not.toHaveText("Sign in");
    await signIn.close();

    if (scripts) await console.pressCreate();
    else await page.getByRole("button", { name: "Submit again" }).click();
    await expect(console.secret).toBeVisible();
    await console.pressDone();
    await expect(console.row(name)).toContainText("rivers:run");
  }
});

test("pressing Create twice makes one token", async ({ console, page, guard, tessera, workspace }) => {
  // Without scripts the second press may post the form again: the server then answers that it made the token.
  guard.expectStatus(409);
  await console.open(`${console.tokensPath}/new`);
  await console.fillToken({ name: "once", scopes: ["rivers:read"] });
  await console.panel.getByRole("button", { name: /^Create/ }).dblclick();
  await expect(page.getByText(/tsr_[0-9A-Za-z]{36}/).or(page.getByText(/already created/i)).or(console.secret).first()).toBeVisible();
  expect(await tessera.tokens(workspace)).toHaveLength(1);
});

test("sending the same form again makes no second token", async ({
  tessera, adminState, playwright, console, workspace, page,
}) => {
  await page.goto(`${console.tokensPath}/new`);
  const fields = await page.locator("dialog form input[type=hidden]").evaluateAll((inputs) =>
    Object.fromEntries(inputs.map((input) => [(input as HTMLInputElement).name, (input as HTMLInputElement).value])),
  );
  const browser = await playwright.request.newContext({
    baseURL: tessera.url, storageState: adminState, extraHTTPHeaders: { origin: tessera.url },
  });
  const form = { ...fields, name: "repeated", audience: "default", scope: "rivers:read", expires: "30d" };
  const answers = await Promise.all(Array.from({ length: 8 }, () => browser.post(`${console.tokensPath}/new`, { form })));
  expect(answers.map((answer) => answer.status()).sort()).toEqual([200, ...Array<number>(7).fill(409)]);
  const refused = answers.find((answer) => answer.status() === 409)!;
  expect(await refused.text()).toMatch(CREATED_BEFORE);
  expect(await refused.text()).not.toMatch(/tsr_[0-9A-Za-z]{36}/);
  await browser.dispose();
  expect(await tessera.tokens(workspace)).toHaveLength(1);
});

test("a reloaded or revisited reveal page shows no secret", async ({ console, page, guard, scripts, tessera, workspace }) => {
  guard.expectStatus(409);
  await console.openTokens();
  const secret = await console.addToken({ name: "shown once", scopes: ["rivers:read"] });
  await page.reload();
  if (scripts) {
    // The address is that of an empty form: there was no other page to reload.
    await expect(console.panel.getByRole("heading", { name: "Add Token" })).toBeVisible();
  } else {
    await expect(page.getByRole("main")).toContainText(CREATED_BEFORE);
  }
  expect(await page.content()).not.toContain(secret);
  await console.openTokens();
  // Without scripts it answered a post: the browser asks before it would send that again.
  await page.goBack().catch((error: Error) => expect(error.message).toContain("ERR_CACHE_MISS"));
  expect(await page.content()).not.toContain(secret);
  expect(await tessera.tokens(workspace)).toHaveLength(1);
});

test("Back and Forward walk through list, windows and searches", async ({ console, page, tessera, workspace }) => {
  await tessera.createToken(workspace, "alpha", ["rivers:read"]);
  await tessera.createToken(workspace, "beta", ["rivers:read"]);
  await console.openTokens();
  await console.openView("alpha");
  const view = page.url();
  await page.goBack();
  await expect(console.panel).toBeHidden();
  await expect(console.row("beta")).toBeVisible();
  await page.goForward();
  await expect(page).toHaveURL(view);
  await expect(console.panel.getByRole("heading", { name: "alpha" })).toBeVisible();
  await page.goBack();
  await expect(console.row("alpha")).toBeVisible();
  await console.settled();
  await page.getByRole("searchbox", { name: /Search/ }).fill("bet");
  await page.getByRole("searchbox", { name: /Search/ }).press("Enter");
  await expect(page).toHaveURL(/[?&]q=bet/);
  await expect(console.row("alpha")).toHaveCount(0);
  await expect(console.row("beta")).toBeVisible();
  await page.goBack();
  await expect(console.row("alpha")).toBeVisible();
  await page.goForward();
  await expect(console.row("alpha")).toHaveCount(0);
});

test("what does not exist, or belongs to others, is not found", async ({ page, guard, tessera, workspace }) => {
  guard.expectStatus(404);
  await tessera.createToken("workspace-1", "elsewhere", ["rivers:read"]);
  const [{ id }] = await tessera.tokens("workspace-1");
  const tokens = `/workspaces/${workspace}/settings/tokens`;
  for (const path of [
    "/nowhere",
    "/workspaces/nobody",
    "/workspaces/nobody/settings/tokens",
    `${tokens}/00000000-0000-7000-8000-000000000000`,
    `${tokens}/not-an-id`,
    `${tokens}/${id}`,
    `${tokens}/${id}/delete`,
    `${tokens}/${id}/nonsense`,
  ]) {
    const answer = await page.goto(path);
    expect(answer!.status(), path).toBe(404);
    await expect(page.getByRole("heading", { level: 1, name: /no such/i })).toBeVisible();
    await expect(page.getByRole("main").getByRole("link").first()).toBeVisible();
  }
});

test("a token that somebody else deleted meanwhile is answered, not broken", async ({
  console, page, guard, tessera, workspace,
}) => {
  guard.expectStatus(404);
  await tessera.createToken(workspace, "gone", ["rivers:read"]);
  await console.openTokens();
  await console.openDelete("gone");
  const [{ id }] = await tessera.tokens(workspace);
  await tessera.cli(["token", "delete", id]);
  await console.panel.getByRole("button", { name: /^Delete/ }).click();
  await expect(page.getByText(/no such|doesn.t exist|not exist|deleted already/i).first()).toBeVisible();
});

test.describe("signed out", () => {
  test.use({ signedIn: false });

  test("a setup link that was used, invented or mangled is gone", async ({ page, guard }) => {
    guard.expectStatus(404);
    for (const secret of ["x", "a".repeat(43), "../sign-in", "%00", "é".repeat(2_000)]) {
      const answer = await page.goto(`/setup/${encodeURIComponent(secret)}`);
      expect([400, 404]).toContain(answer!.status());
      await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    }
  });
});
