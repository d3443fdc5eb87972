// Changes of a token in the console after its creation: edit, rotate, disable, enable.
import { expect, test } from "../support/fixtures.ts";

const SCOPES = ["rivers:run", "connections:read"];

test("editing a token keeps the values that were not changed", async ({ console, page, tessera, workspace }) => {
  await tessera.createToken(workspace, "deploy-bot", SCOPES);
  await console.openTokens();
  await console.more("deploy-bot", "Edit");
  await expect(console.panel.getByRole("heading", { level: 1 })).toHaveText("Edit “deploy-bot”");
  await page.getByLabel("Description").fill("Line one\nline <b>two</b>");
  await page.getByRole("checkbox", { name: "connections:read" }).uncheck();
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("The token “deploy-bot” was saved.").first()).toBeVisible();
  const [token] = await tessera.tokens(workspace);
  expect(token).toMatchObject({
    name: "deploy-bot",
    description: "Line one\nline <b>two</b>",
    scopes: ["rivers:run"],
  });
  // When opened again, the form shows exactly the saved values.
  await console.more("deploy-bot", "Edit");
  await expect(page.getByLabel("Description")).toHaveValue("Line one\nline <b>two</b>");
});

test("two people who edit the same token do not overwrite each other's changes", async ({ console, page, tessera, workspace, guard }) => {
  guard.expectStatus(412);
  await tessera.createToken(workspace, "deploy-bot", SCOPES);
  const [{ id }] = await tessera.tokens(workspace);
  await console.open(`${console.tokensPath}/${id}/edit`);
  await tessera.cli(["token", "update", id, "--description", "by somebody else"]);
  await page.getByLabel("Name").fill("mine");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("alert").first()).toContainText(/changed/i);
  await expect(page.getByLabel("Name")).toHaveValue("mine");
  const [token] = await tessera.tokens(workspace);
  expect(token).toMatchObject({ name: "deploy-bot", description: "by somebody else" });
});

test("a rotated token has a new secret, and the old one works until it is ended", async ({
  console,
  page,
  tessera,
  workspace,
}) => {
  const older = await tessera.createToken(workspace, "deploy-bot", SCOPES);
  const ask = async (token: string) => {
    const url = `${tessera.url}/auth/forward?audience=default&scope=rivers:run`;
    return (await fetch(url, { headers: { Authorization: `Bearer ${token}` } })).status;
  };
  await console.openTokens();
  await console.more("deploy-bot", "Rotate");
  await page.getByRole("radio", { name: "Works for 24 hours" }).check();
  await page.getByRole("button", { name: "Rotate", exact: true }).click();
  await expect(console.secret).toBeVisible();
  const newer = await console.secret.inputValue();
  expect(newer).not.toBe(older);
  expect([await ask(older), await ask(newer)]).toEqual([200, 200]);

  await console.openTokens();
  await expect(console.row("deploy-bot")).toContainText("Rotating");
  await console.more("deploy-bot", "Revoke old secret");
  await expect(page.getByText("The old secret of “deploy-bot” no longer works.").first()).toBeVisible();
  expect([await ask(older), await ask(newer)]).toEqual([401, 200]);
});

test("a disabled token is rejected until it is enabled", async ({ console, page, tessera, workspace }) => {
  const secret = await tessera.createToken(workspace, "deploy-bot", SCOPES);
  const ask = async () => {
    const headers = { Authorization: `Bearer ${secret}` };
    return (await fetch(`${tessera.url}/auth/forward?audience=default`, { headers })).status;
  };
  expect(await ask()).toBe(200);
  await console.openTokens();
  await console.more("deploy-bot", "Disable");
  await page.getByRole("button", { name: "Disable token" }).click();
  await expect(page.getByText("The token “deploy-bot” was disabled.").first()).toBeVisible();
  await expect(console.row("deploy-bot")).toContainText("Disabled");
  expect(await ask()).toBe(401);
  await console.more("deploy-bot", "Enable");
  await expect(page.getByText("The token “deploy-bot” was enabled.").first()).toBeVisible();
  await expect(console.row("deploy-bot")).toContainText("Active");
  expect(await ask()).toBe(200);
});

test("a copy starts with the values of the original token", async ({ console, page, tessera, workspace }) => {
  await tessera.createToken(workspace, "deploy-bot", ["rivers:run"]);
  await console.openTokens();
  await console.more("deploy-bot", "Make a copy");
  await expect(console.panel.getByRole("heading", { level: 1 })).toHaveText("Add Token");
  await expect(page.getByLabel("Name", { exact: true })).toHaveValue("deploy-bot (copy)");
  await expect(page.getByRole("checkbox", { name: /rivers:run/ })).toBeChecked();
});
