// People who are not instance administrators: what they see, may not do and cannot find.
import { expect, test } from "../support/fixtures.ts";
import { createMember } from "../support/members.ts";

test.use({ signedIn: false });

test("a member sees the workspace but not its tokens", async ({ console, page, guard, tessera, workspace }) => {
  guard.expectStatus(403, 404);
  await tessera.createToken(workspace, "private-business", ["rivers:read"]);
  const [{ id }] = await tessera.tokens(workspace);
  const { email, password } = await createMember(tessera, `grace@${workspace}.example`, { workspace, role: "member" });
  await console.open("/sign-in");
  await console.signIn(email, password);
  await expect(console.heading).toHaveText("Workspaces");
  await expect(page.getByRole("main").getByRole("link", { name: workspace })).toBeVisible();
  await expect(page.getByRole("main").getByRole("link", { name: "Workspace 1" })).toHaveCount(0);

  await console.open(`/workspaces/${workspace}`);
  await expect(page.getByRole("link", { name: "Add Token" })).toHaveCount(0);

  for (const path of [console.tokensPath, `${console.tokensPath}/new`]) {
    expect((await page.goto(path))!.status(), path).toBe(403);
    await expect(page.getByRole("main")).toContainText("Only administrators manage API tokens");
  }
  // Members know that the list exists. The response may hide whether a single token exists.
  for (const path of [`${console.tokensPath}/${id}`, `${console.tokensPath}/${id}/delete`]) {
    expect([403, 404]).toContain((await page.goto(path))!.status());
    expect(await page.content()).not.toContain("private-business");
  }
  for (const path of ["/workspaces/workspace-1", "/workspaces/workspace-1/settings/tokens"]) {
    expect((await page.goto(path))!.status(), path).toBe(404);
  }

  const form = { name: "mine", audience: "default", scope: "rivers:read", expires: "30d" };
  const headers = { origin: tessera.url };
  const post = (path: string) => page.context().request.post(path, { form, headers, maxRedirects: 0 });
  expect((await post(`${console.tokensPath}/new`)).status()).toBe(403);
  expect([403, 404]).toContain((await post(`${console.tokensPath}/${id}/delete`)).status());
  expect((await post("/workspaces/workspace-1/settings/tokens/new")).status()).toBe(404);
  expect(await tessera.tokens(workspace)).toHaveLength(1);
});

test("a workspace administrator manages only the tokens of that workspace", async ({
  console, page, guard, tessera, workspace,
}) => {
  guard.expectStatus(404);
  const { email, password } = await createMember(tessera, `lead@${workspace}.example`, { workspace, role: "admin" });
  await console.open("/sign-in");
  await console.signIn(email, password);
  await expect(console.heading).toHaveText("Workspaces");
  await console.openTokens();
  await console.addToken({ name: "led", scopes: ["rivers:run"] });
  await console.pressDone();
  await expect(console.row("led")).toContainText("Grace Hopper");
  expect((await page.goto("/workspaces/workspace-1/settings/tokens"))!.status()).toBe(404);
});

test("a person without a workspace sees a message", async ({ console, page, guard, tessera, workspace }) => {
  guard.expectStatus(404);
  const { email, password } = await createMember(tessera, `stranger@${workspace}.example`);
  await console.open("/sign-in");
  await console.signIn(email, password);
  await expect(console.heading).toHaveText("Workspaces");
  await expect(page.getByRole("main")).toContainText(/no workspace|not a member|ask an administrator/i);
  expect((await page.goto(`/workspaces/${workspace}`))!.status()).toBe(404);
  expect((await page.goto(console.tokensPath))!.status()).toBe(404);
});
