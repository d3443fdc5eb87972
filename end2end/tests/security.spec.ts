// The protection of a signed-in administrator from other sites: content security policy, cookies,
// origin checks.
import { expect, test } from "../support/fixtures.ts";
import { ADMIN } from "../support/tessera.ts";

/** Without this, requests carry the cookies of the test's browser. */
const SIGNED_OUT = { cookies: [], origins: [] };

test("every page has a strict content security policy and forbids shared caching", async ({ console, page }) => {
  const nonces = new Set<string>();
  for (const path of ["/workspaces", console.tokensPath, `${console.tokensPath}/new`]) {
    const answer = await page.goto(path);
    const headers = answer!.headers();
    const policy = headers["content-security-policy"] ?? "";
    const directives = new Map(
      policy.split(";").map((part) => part.trim().split(/\s+/)).map(([name, ...values]) => [name, values]),
    );
    expect(directives.get("default-src")).toEqual(["'none'"]);
    expect(directives.get("base-uri")).toEqual(["'none'"]);
    expect(directives.get("frame-ancestors")).toEqual(["'none'"]);
    expect(policy).not.toContain("unsafe-inline");
    expect(policy).not.toContain("'unsafe-eval'");
    const nonce = directives.get("script-src")?.find((source) => source.startsWith("'nonce-"));
    expect(nonce).toBeDefined();
    nonces.add(nonce!);
    expect(headers["x-content-type-options"]).toBe("nosniff");
    expect(headers["referrer-policy"]).toMatch(/^(no-referrer|same-origin|strict-origin)$/);
    expect(headers["cache-control"]).toMatch(/no-store|private/);
  }
  expect(nonces.size, "a nonce is used once").toBe(3);
});

test("no page has inline event handlers or scripts without the nonce", async ({ console, page }) => {
  for (const path of ["/workspaces", console.tokensPath, `${console.tokensPath}/new`]) {
    await console.open(path);
    const found = await page.evaluate(() =>
      [...document.querySelectorAll("*")]
        .filter(
          (element) =>
            element.getAttributeNames().some((name) => name.startsWith("on")) ||
            (element instanceof HTMLScriptElement && element.type !== "application/json" && !element.nonce),
        )
        .map((element) => element.outerHTML.slice(0, 200)),
    );
    expect(found).toEqual([]);
  }
});

test("the session cookie is not available to scripts or other sites", async ({ page, context }) => {
  await page.goto("/workspaces");
  const session = (await context.cookies()).find((cookie) => cookie.name === "tessera");
  expect(session).toMatchObject({ httpOnly: true, sameSite: "Lax", path: "/", secure: false });
  expect(session!.value.length).toBeGreaterThanOrEqual(32);
});

test("signing in creates a new session, and signing out ends it on the server", async ({ tessera, playwright }) => {
  const browser = await playwright.request.newContext({
    baseURL: tessera.url,
    storageState: SIGNED_OUT,
    extraHTTPHeaders: { origin: tessera.url },
    maxRedirects: 0,
  });
  const { email, password } = ADMIN;
  const signIn = () => browser.post("/sign-in", { form: { email, password } });
  const cookie = async () => (await browser.storageState()).cookies.find(({ name }) => name === "tessera")?.value;
  expect((await signIn()).status()).toBe(303);
  const first = await cookie();
  expect((await signIn()).status()).toBe(303);
  const second = await cookie();
  expect(second).not.toBe(first);
  const headers = { cookie: `tessera=${second}` };
  expect((await browser.post("/sign-out", { form: {} })).status()).toBe(303);
  const after = await browser.get("/workspaces", { headers });
  expect(after.status()).toBe(303);
  expect(after.headers().location).toMatch(/^\/sign-in/);
  await browser.dispose();
});

test("a cross-site POST is rejected and changes nothing", async ({
  tessera, workspace, console, adminState, playwright,
}) => {
  const foreign: Record<string, string>[] = [
    { origin: "https://evil.example" },
    { origin: "null" },
    { origin: tessera.url.replace("127.0.0.1", "localhost"), "sec-fetch-site": "cross-site" },
    { "sec-fetch-site": "cross-site" },
    { "sec-fetch-site": "same-site" },
  ];
  const form = { name: "stolen", scope: "rivers:read", audience: "default", expires: "30d" };
  for (const extraHTTPHeaders of foreign) {
    const browser = await playwright.request.newContext({
      baseURL: tessera.url,
      storageState: adminState,
      extraHTTPHeaders,
      maxRedirects: 0,
    });
    const place = JSON.stringify(extraHTTPHeaders);
    expect((await browser.post(`${console.tokensPath}/new`, { form })).status(), place).toBe(403);
    expect((await browser.post("/sign-out", { form: {} })).status(), place).toBe(403);
    expect((await browser.post("/theme", { form: { theme: "dark" } })).status(), place).toBe(403);
    expect((await browser.get("/workspaces")).status(), place).toBe(200);
    await browser.dispose();
  }
  expect(await tessera.cli(["token", "list", "--workspace", workspace])).not.toContain("stolen");
});

test.describe("signed out", () => {
  test.use({ signedIn: false });

  test("a page redirects to sign-in, which returns to that page", async ({ console, page }) => {
    await console.open(`${console.tokensPath}/new`);
    await expect(page).toHaveURL(/\/sign-in\?next=/);
    await console.signIn(ADMIN.email, ADMIN.password);
    await expect(page).toHaveURL(new RegExp(`${console.tokensPath}/new$`));
    await expect(console.panel.getByRole("heading", { name: "Add Token" })).toBeVisible();
  });

  test("sign-in never redirects to another site", async ({ console, page, tessera }) => {
    for (const next of ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"]) {
      await page.context().clearCookies();
      await console.open(`/sign-in?next=${encodeURIComponent(next)}`);
      await console.signIn(ADMIN.email, ADMIN.password);
      await expect(console.heading).toHaveText("Workspaces");
      expect(new URL(page.url()).origin).toBe(tessera.url);
    }
  });
});
