// Working with tokens as Rivery documents it, step by step and in its words, with its preset. Then
// makes the documented calls with curl and Python to an API behind nginx.
import { type Answer, curl, pythonRequests, RIVER_ID } from "../support/callers.ts";
import { expect, testWithOwnInstance } from "../support/fixtures.ts";
import { Gateway } from "../support/gateway.ts";
import { createMember } from "../support/members.ts";
import { ADMIN, Tessera } from "../support/tessera.ts";

const SLUG = "workspace-1";

/** Starts an instance and applies the preset to its workspace. */
async function startRivery(): Promise<Tessera> {
  const tessera = await Tessera.startWithAdmin();
  await tessera.cli(["preset", "apply", "rivery", "--workspace", SLUG, "--yes"]);
  return tessera;
}

const test = testWithOwnInstance(startRivery).extend<object, { gateway: Gateway }>({
  gateway: [
    async ({ tessera }, use) => {
      const gateway = await Gateway.start(tessera.url, SLUG);
      await use(gateway);
      await gateway.destroy();
    },
    { scope: "worker" },
  ],
  workspace: async ({}, use) => use(SLUG),
});

test("the documented steps for working with tokens", async ({ tessera, gateway, console, page, scripts, guard }) => {
  test.slow();
  const { panel } = console;
  /** Makes the documented call with both documented clients. */
  const call = async (token: string): Promise<Answer[]> => {
    const url = `${gateway.url}/api/run`;
    return Promise.all([curl(url, token), pythonRequests(url, token)]);
  };
  await tessera.createToken(SLUG, "made before", ["connections:read"]);

  await test.step("On the left side navigation bar, go to Settings → API Tokens", async () => {
    await console.open(`/workspaces/${SLUG}`);
    const navigation = page.getByRole("navigation", { name: "Workspace" });
    const bar = (await navigation.boundingBox())!;
    const main = (await page.getByRole("main").boundingBox())!;
    expect(bar.x + bar.width).toBeLessThanOrEqual(main.x + 1);
    await navigation.getByRole("link", { name: "Settings", exact: true }).click();
    await expect(console.heading).toHaveText("Workspace Settings");
    await navigation.getByRole("link", { name: "API Tokens", exact: true }).click();
    await expect(console.heading).toHaveText("API Tokens");
    await expect(navigation.getByRole("link", { name: "API Tokens" })).toHaveAttribute("aria-current", "page");
    await console.settled();
  });

  await test.step("A list of all tokens: name, creation date and time, creator and other details", async () => {
    for (const heading of ["Name", "Status", "Scopes", "Owner", "Created", "Expires", "Last used"]) {
      await expect(page.getByRole("columnheader", { name: heading })).toBeVisible();
    }
    const created = console.row("made before").getByRole("cell").filter({ hasText: "by command line" });
    await expect(created).toHaveText(/^\d{1,2}\s[A-Z][a-z]{2}\s\d{4}, \d\d:\d\d\sUTC/);
  });

  await test.step("1. In the top right corner of the screen, select the Add Token button", async () => {
    const button = page.getByRole("link", { name: "Add Token" });
    await expect(button).toHaveCount(1);
    const place = (await button.boundingBox())!;
    const heading = (await console.heading.boundingBox())!;
    const { width, height } = page.viewportSize()!;
    expect(place.x + place.width).toBeGreaterThan(width * 0.9);
    expect(place.y + place.height).toBeLessThan(height / 3);
    expect(Math.abs(place.y - heading.y)).toBeLessThan(heading.height * 2);
    await console.openAddToken();
  });

  await test.step("2. Provide the token name and select the scopes, in a new window", async () => {
    await expect(panel).toBeVisible();
    await panel.getByLabel("Name", { exact: true }).fill("run my rivers");
  });

  await test.step("3. The list can be expanded or contracted; each scope has a box and a description", async () => {
    const rivers = panel.locator("details").filter({ hasText: "rivers:run" });
    const summary = rivers.locator("summary");
    const read = panel.getByRole("checkbox", { name: "rivers:read", exact: true, includeHidden: true });
    if (!(await read.isVisible())) await summary.click();
    await expect(read).toBeVisible();
    await summary.click();
    await expect(read).toBeHidden();
    await summary.click();
    await expect(read).toBeVisible();
    const boxes = panel.getByRole("group").getByRole("checkbox");
    expect(await boxes.count()).toBeGreaterThan(0);
    for (const scope of ["rivers:read", "rivers:write", "rivers:run", "connections:read", "operations:write"]) {
      const box = await console.scope(scope);
      await expect(box, scope).toHaveAccessibleDescription(/\w+ \w+/);
    }
    await (await console.scope("rivers:run")).check();
    if (scripts) {
      // The group's checkbox selects and deselects all of its scopes.
      const all = panel.getByRole("checkbox", { name: /Connections/ }).first();
      await all.check();
      await expect(await console.scope("connections:write")).toBeChecked();
      await all.uncheck();
      await expect(await console.scope("connections:write")).not.toBeChecked();
    }
  });

  await test.step("4. If you wish to stop the process at this point, click cancel", async () => {
    if (scripts) page.once("dialog", (dialog) => void dialog.accept());
    await panel.getByRole("link", { name: "Cancel" }).click();
    await expect(panel).toBeHidden();
    await expect(console.row("run my rivers")).toHaveCount(0);
    expect(await tessera.tokens(SLUG)).toHaveLength(1);
  });

  const token = await test.step("4. Once you are satisfied, click on the create button", async () => {
    await console.settled();
    await console.openAddToken();
    await console.fillToken({ name: "run my rivers", scopes: ["rivers:run"] });
    await panel.getByRole("button", { name: "Create" }).click();
    await expect(console.secret).toHaveValue(/^tsr_[0-9A-Za-z]{36}$/);
    return console.secret.inputValue();
  });

  await test.step("5. A new window displays the token, at this time only; copy it by the button", async () => {
    await expect(panel.getByRole("heading", { name: "Token created" })).toBeVisible();
    await expect(panel).toContainText("can only be viewed at this time");
    if (scripts) await console.copyToken();
  });

  await test.step("6. Click Done to close the screen", async () => {
    await console.done.click();
    await expect(panel).toBeHidden();
    await expect(console.heading).toHaveText("API Tokens");
    await console.settled();
    expect(await page.content()).not.toContain(token);
    if (scripts) {
      const search = page.getByRole("searchbox", { name: /Search/ });
      await search.focus();
      await page.keyboard.press("ControlOrMeta+V");
      await expect(search).toHaveValue(token);
      await search.fill("");
    }
  });

  await test.step("7. The list includes the new token; the View button shows its scopes", async () => {
    const row = console.row("run my rivers");
    await expect(row).toContainText("rivers:run");
    await expect(row.getByRole("cell").filter({ hasText: `by ${ADMIN.name}` })).toHaveText(/\d{4}, \d\d:\d\d\sUTC/);
    await expect(row.getByRole("link", { name: "View" })).toBeInViewport({ ratio: 1 });
    await console.openView("run my rivers");
    await expect(console.granted("rivers:run")).toBeVisible();
    await expect(panel).not.toContainText(token);
    await panel.getByRole("link", { name: "Close" }).last().click();
    await expect(panel).toBeHidden();
  });

  await test.step("Tokens are given distinctive names: a name that is in use is rejected", async () => {
    guard.expectStatus(409);
    await console.openAddToken();
    await console.fillToken({ name: "Run my rivers", scopes: ["rivers:run"] });
    await console.pressCreate();
    await expect(panel).toContainText("is in use by another token of this workspace");
    expect(await tessera.tokens(SLUG)).toHaveLength(2);
    await console.openTokens();
  });

  await test.step("Making API calls: curl, and Python with its payload dumped as JSON", async () => {
    for (const answer of await call(token)) {
      expect(answer.status, answer.body).toBe(200);
      expect(JSON.parse(answer.body)).toMatchObject({ river_id: RIVER_ID, status: "pending" });
    }
    for (const answer of await call("XYZ")) expect(answer.status).toBe(401);
  });

  await test.step("Deleting: the trash can on the right side, then a pop-up asks for confirmation", async () => {
    const row = console.row("run my rivers");
    const trash = row.getByRole("link", { name: "Delete run my rivers" });
    await expect(trash).toBeInViewport({ ratio: 1 });
    const place = (await trash.boundingBox())!;
    const end = (await row.boundingBox())!;
    expect(place.x + place.width).toBeGreaterThan(end.x + end.width - 40);
    await console.openDelete("run my rivers");
    await expect(panel).toContainText("A token can never be used again once it has been deleted");
    for (const answer of await call(token)) expect(answer.status).toBe(200);
    await console.confirmDelete();
    await expect(console.row("run my rivers")).toHaveCount(0);
  });

  await test.step("A token can never be used again once it has been deleted", async () => {
    const letThrough = await gateway.callsLetThrough();
    for (const answer of await call(token)) {
      expect(answer.status).toBe(401);
      expect(answer.headers.get("www-authenticate")).toMatch(/^Bearer/i);
    }
    expect(await gateway.callsLetThrough()).toBe(letThrough);
    // The name can be used again, but a new token with this name has another secret.
    const again = await tessera.createToken(SLUG, "run my rivers", ["rivers:run"]);
    expect(again).not.toBe(token);
    for (const answer of await call(again)) expect(answer.status).toBe(200);
    for (const answer of await call(token)) expect(answer.status).toBe(401);
  });
});

test.describe("for a member who is not an administrator", () => {
  test.use({ signedIn: false });

  test("the list of tokens and the form for a new token are forbidden", async ({ tessera, console, page, guard }) => {
    guard.expectStatus(403);
    const project = test.info().project.name;
    const { email, password } = await createMember(tessera, `member@${project}.example`, {
      workspace: SLUG,
      role: "member",
    });
    await console.open("/sign-in");
    await console.signIn(email, password);
    await expect(console.heading).toHaveText("Workspaces");
    for (const place of [console.tokensPath, `${console.tokensPath}/new`]) {
      expect((await page.goto(place))!.status(), place).toBe(403);
      await expect(page.getByRole("main")).toContainText("Only administrators manage API tokens");
      await expect(page.getByRole("link", { name: "Add Token" })).toHaveCount(0);
    }
  });
});
