// People who are not administrators, but work with tokens: viewers, who see all tokens, and members
// with self-service, who manage their own.
import type { Page } from "@playwright/test";

import { expectAccessible } from "../support/accessibility.ts";
import type { Console } from "../support/console.ts";
import { expect, test } from "../support/fixtures.ts";
import { tabTo } from "../support/keyboard.ts";
import { expectGoodLooks } from "../support/looks.ts";
import { createMember } from "../support/members.ts";
import { fillWithTokens } from "../support/sample.ts";
import type { Tessera } from "../support/tessera.ts";

test.use({ signedIn: false });
test.slow();

const REFUSAL = "Only administrators manage API tokens.";

interface Place {
  console: Console;
  tessera: Tessera;
  workspace: string;
}

/** Creates a person with this role, signs in and returns the e-mail address. */
async function signIn({ console, tessera, workspace }: Place, role: "member" | "viewer"): Promise<string> {
  const { email, password } = await createMember(tessera, `${role}@${workspace}.example`, { workspace, role });
  await console.open("/sign-in");
  await console.signIn(email, password);
  await expect(console.heading).toHaveText("Workspaces");
  await console.settled();
  return email;
}

/** Signs in as a member of a workspace with self-service, in which Ada has a token. */
async function signInToSelfService(place: Place): Promise<string> {
  const { tessera, workspace } = place;
  await tessera.cli(["policy", "set", "--workspace", workspace, "self_service=true", "reveal=recoverable_allowed"]);
  await tessera.createToken(workspace, "private-business", ["rivers:read"]);
  return signIn(place, "member");
}

/** Restricts the scopes that a member may grant to these patterns. */
async function grant({ tessera, workspace }: Place, email: string, ...patterns: string[]): Promise<void> {
  const grants = patterns.flatMap((pattern) => ["--grant", pattern]);
  await tessera.cli(["member", "change", email, "--workspace", workspace, ...grants]);
}

/** Expects that the page has no control that changes a token. */
async function expectNothingToChange(page: Page): Promise<void> {
  const change = /^(Add Token|Edit|Rotate|Disable|Show secret|Make a copy|Delete)\b/;
  await expect(page.getByRole("link", { name: change })).toHaveCount(0);
  await expect(page.getByRole("button", { name: /^(More for|Enable|Disable|Delete|Rotate)\b/ })).toHaveCount(0);
}

/** Posts a form as the console would, from this browser, and returns the status. */
async function post(page: Page, tessera: Tessera, path: string, form: Record<string, string>): Promise<number> {
  const headers = { origin: tessera.url };
  return (await page.context().request.post(path, { form, headers, maxRedirects: 0 })).status();
}

test("a viewer sees every token and changes none", async ({ console, page, guard, tessera, workspace }) => {
  guard.expectStatus(403);
  await fillWithTokens(tessera, workspace);
  const before = await tessera.tokens(workspace);
  const { id } = before.find(({ name }) => name === "deploy-bot")!;
  await signIn({ console, tessera, workspace }, "viewer");
  await expect(page.getByRole("main")).toContainText("Active tokens");

  await console.open(`/workspaces/${workspace}`);
  await expect(page.getByRole("main")).toContainText("Its administrators manage them.");
  await expectNothingToChange(page);
  const expired = page.getByRole("list", { name: "Tokens" }).getByRole("link", { name: /^Expired/ });
  await expired.click();
  await expect(page).toHaveURL(/state=expired/);
  await expect(console.heading).toHaveText("API Tokens");

  await console.openTokens();
  await expect(page.getByRole("main")).toContainText("administrators of the workspace manage them");
  await expect(page.getByRole("rowheader")).toHaveCount(Math.min(before.length, 25));
  await expectNothingToChange(page);
  await expectAccessible(page, "a viewer's list");
  await console.openTokens("?q=deploy-bot");
  await expect(page.getByRole("rowheader")).toHaveCount(1);
  await console.openView("deploy-bot");
  await expectNothingToChange(page);
  await expectAccessible(page, "a viewer's view of a token");

  for (const form of ["new", `${id}/edit`, `${id}/rotate`, `${id}/disable`, `${id}/reveal`, `${id}/delete`]) {
    expect((await page.goto(`${console.tokensPath}/${form}`))!.status(), form).toBe(403);
    await expect(console.panel).toContainText(REFUSAL);
    await expect(console.panel.getByRole("button", { name: /token|Save|Rotate|secret/i })).toHaveCount(0);
    const values = { name: "mine", audience: "default", scope: "rivers:read", expires: "30d", grace: "0" };
    expect(await post(page, tessera, `${console.tokensPath}/${form}`, values), form).toBe(403);
  }
  expect(await tessera.tokens(workspace)).toEqual(before);
});

test("the empty list does not ask a viewer to add a token", async ({ console, page, tessera, workspace }) => {
  await signIn({ console, tessera, workspace }, "viewer");
  await console.openTokens();
  await expect(page.getByRole("heading", { name: "No tokens yet" })).toBeVisible();
  await expectNothingToChange(page);
  await expectAccessible(page, "a viewer's empty list");
});

test("a member with self-service manages their own tokens", async ({ console, page, tessera, workspace }) => {
  const email = await signInToSelfService({ console, tessera, workspace });
  await expect(page.getByRole("main")).toContainText("Your active tokens");
  await console.open(console.tokensPath);
  await expect(console.heading).toHaveText("Your API tokens");
  await expect(page.getByRole("heading", { name: "You have no tokens yet" })).toBeVisible();

  await console.openAddToken();
  await expect(page.getByLabel("Acts as")).toHaveCount(0);
  await expect(console.panel).toContainText("Grace Hopper (you)");
  await expectAccessible(page, "a member's form");
  await console.fillToken({ name: "mine", scopes: ["rivers:run", "teams:read"] });
  await console.pressCreate();
  await expect(console.secret).toBeVisible();
  const first = await console.secret.inputValue();
  await console.pressDone();
  await expect(console.row("mine")).toContainText("Grace Hopper");
  await expect(page.getByRole("main")).not.toContainText("private-business");
  await expect(page.getByRole("main")).toContainText("1 token");
  await expectAccessible(page, "a member's list");

  const ask = async (token: string) => {
    const headers = { Authorization: `Bearer ${token}` };
    return (await fetch(`${tessera.url}/auth/forward?audience=default`, { headers })).status;
  };
  await console.more("mine", "Edit");
  await page.getByLabel("Description").fill("my own");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("The token “mine” was saved.").first()).toBeVisible();
  await console.more("mine", "Disable");
  await page.getByRole("button", { name: "Disable token" }).click();
  await expect(page.getByText("The token “mine” was disabled.").first()).toBeVisible();
  expect(await ask(first)).toBe(401);
  await console.more("mine", "Enable");
  await expect(page.getByText("The token “mine” was enabled.").first()).toBeVisible();
  expect(await ask(first)).toBe(200);
  await console.more("mine", "Rotate");
  await page.getByRole("radio", { name: "Stops working now" }).check();
  await page.getByRole("button", { name: "Rotate", exact: true }).click();
  await expect(console.secret).toBeVisible();
  const second = await console.secret.inputValue();
  expect([await ask(first), await ask(second)]).toEqual([401, 200]);

  // The member also manages a token that an administrator created for them.
  const kept = await tessera.createToken(workspace, "kept", ["rivers:read"], ["--owner", email, "--recoverable"]);
  await console.open(console.tokensPath);
  await console.more("kept", "Show secret");
  await console.panel.getByRole("button", { name: "Show secret" }).click();
  await expect(console.secret).toHaveValue(kept);

  await console.open(`/workspaces/${workspace}`);
  await expect(page.getByRole("main")).toContainText("These numbers count only your tokens.");
  const active = page.getByRole("list", { name: "Tokens" }).getByRole("link", { name: /^Active/ });
  await expect(active).toContainText("2");
  await active.click();
  await expect(page).toHaveURL(/state=active/);
  await expect(page.getByRole("rowheader")).toHaveCount(2);

  await console.openDelete("mine");
  await console.confirmDelete();
  await expect(page.getByText("The token “mine” was deleted.").first()).toBeVisible();
  const left = (await tessera.tokens(workspace)).map(({ name }) => name);
  expect(left.sort()).toEqual(["kept", "private-business"]);
});

test("a member finds no tokens of other people", async ({ console, page, guard, tessera, workspace }) => {
  guard.expectStatus(404, 422);
  await signInToSelfService({ console, tessera, workspace });
  const before = await tessera.tokens(workspace);
  const { id } = before[0];
  for (const form of ["", "/edit", "/rotate", "/disable", "/reveal", "/delete"]) {
    const path = `${console.tokensPath}/${id}${form}`;
    expect((await page.goto(path))!.status(), path).toBe(404);
    expect(await page.content()).not.toContain("private-business");
    if (form) expect(await post(page, tessera, path, { name: "mine", grace: "0" }), path).toBe(404);
  }
  // A member cannot create a token for another person either.
  const [ada, audience] = ["ada@example.com", "default"];
  const values = { name: "hers", user: ada, audience, scope: "rivers:read", expires: "30d" };
  expect(await post(page, tessera, `${console.tokensPath}/new`, values)).toBe(422);

  const api = `${tessera.url}/api/v1/workspaces/${workspace}/tokens`;
  const { request } = page.context();
  const bulk = await request.post(`${api}/bulk`, {
    data: { action: "delete", ids: [id] },
    headers: { origin: tessera.url },
  });
  expect(bulk.status()).toBe(200);
  expect(await bulk.json()).toMatchObject({ items: [{ id, status: 404 }] });
  expect(await tessera.tokens(workspace)).toEqual(before);
  const exported = await request.get(`${api}/export`);
  expect([exported.status(), await exported.text()]).toEqual([200, ""]);
});

test("a member cannot select scopes that they may not grant", async ({ console, page, scripts, tessera, workspace }) => {
  const place = { console, tessera, workspace };
  const email = await signInToSelfService(place);
  await grant(place, email, "rivers:read", "rivers:run");
  await console.open(`${console.tokensPath}/new?name=linked&scope=rivers:write&scope=rivers:read`);
  await expect(console.panel).toContainText("that you can't grant: rivers:write");
  const write = await console.scope("rivers:write");
  await expect(write).toBeDisabled();
  await expect(write).not.toBeChecked();
  await expect(write).toHaveAccessibleDescription(/you can't grant this scope/);
  await expect(await console.scope("rivers:read")).toBeChecked();
  await expect(await console.scope("teams:read")).toBeDisabled();
  await expectAccessible(page, "a member's form with grants");
  if (scripts) {
    const all = console.panel.getByRole("checkbox", { name: "All scopes of Rivers" });
    await expect(console.panel.getByRole("checkbox", { name: "All scopes of Teams" })).toBeDisabled();
    await all.click();
    await expect(all).toBeChecked();
    await expect(await console.scope("rivers:run")).toBeChecked();
    await expect(write).not.toBeChecked();
    await all.click();
    await expect(await console.scope("rivers:run")).not.toBeChecked();
    await all.click();
  } else {
    await (await console.scope("rivers:run")).check();
  }
  await console.pressCreate();
  await expect(console.secret).toBeVisible();
  const [token] = (await tessera.tokens(workspace)).filter(({ name }) => name === "linked");
  expect([...token.scopes].sort()).toEqual(["rivers:read", "rivers:run"]);
});

test("a member can create a token with only the keyboard", async ({ console, page, tessera, workspace }) => {
  const place = { console, tessera, workspace };
  await grant(place, await signInToSelfService(place), "rivers:run");
  const { keyboard } = page;
  await console.open(console.tokensPath);
  await tabTo(page, page.getByRole("link", { name: "Add Token" }).first());
  await keyboard.press("Enter");
  await expect(console.panel).toBeVisible();
  await console.settled();
  await tabTo(page, console.panel.getByLabel("Name", { exact: true }));
  await keyboard.type("by keyboard");
  const run = console.panel.getByRole("checkbox", { name: "rivers:run", exact: true });
  const group = console.panel.locator("details").filter({ hasText: "rivers:run" }).locator("summary");
  await tabTo(page, group);
  if (!(await run.isVisible())) await keyboard.press("Enter");
  await tabTo(page, run);
  await keyboard.press("Space");
  await expect(run).toBeChecked();
  await tabTo(page, console.panel.getByRole("button", { name: /^Create/ }));
  await keyboard.press("Enter");
  await expect(console.secret).toBeVisible();
  await tabTo(page, console.secret);
  await keyboard.press("ControlOrMeta+A");
  await keyboard.press("ControlOrMeta+C");
  await tabTo(page, console.done);
  await keyboard.press("Enter");
  await expect(console.row("by keyboard")).toBeVisible();
});

test("a viewer's pages look good", async ({ console, page, tessera, workspace }) => {
  await fillWithTokens(tessera, workspace);
  await signIn({ console, tessera, workspace }, "viewer");
  await expectGoodLooks(console, "viewer-overview", () => console.open(`/workspaces/${workspace}`));
  await expectGoodLooks(console, "viewer-tokens", () => console.openTokens());
  const { id } = (await tessera.tokens(workspace)).find(({ name }) => name === "deploy-bot")!;
  await expectGoodLooks(console, "viewer-view", () => console.open(`${console.tokensPath}/${id}`));
  await expect(page.getByRole("link", { name: "Close" }).first()).toBeVisible();
});

test("the pages of a member with self-service look good", async ({ console, tessera, workspace }) => {
  const place = { console, tessera, workspace };
  const email = await signInToSelfService(place);
  await grant(place, email, "rivers:read", "rivers:run");
  await expectGoodLooks(console, "own-tokens-empty", () => console.open(console.tokensPath));
  await tessera.createToken(workspace, "mine", ["rivers:read"], ["--owner", email]);
  await expectGoodLooks(console, "own-workspaces", () => console.open("/workspaces"));
  await expectGoodLooks(console, "own-overview", () => console.open(`/workspaces/${workspace}`));
  await expectGoodLooks(console, "own-settings", () => console.open(`/workspaces/${workspace}/settings`));
  await expectGoodLooks(console, "own-tokens", () => console.open(console.tokensPath));
  await expectGoodLooks(console, "own-new", () => console.open(`${console.tokensPath}/new`));
});
