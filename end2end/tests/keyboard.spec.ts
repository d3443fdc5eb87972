// Keyboard-only use: all steps of the product's document, and the position of the focus.
import { expect, test } from "../support/fixtures.ts";
import { tabTo } from "../support/keyboard.ts";
import { ADMIN } from "../support/tessera.ts";

test.describe("from sign-in to a deleted token", () => {
  test.use({ signedIn: false });

  test("no step needs a mouse", async ({ console, page, scripts, workspace }) => {
    test.slow();
    const { keyboard } = page;
    await console.open("/sign-in");
    await tabTo(page, page.getByLabel("E-mail"));
    await keyboard.type(ADMIN.email);
    await keyboard.press("Tab");
    await keyboard.type(ADMIN.password);
    await keyboard.press("Enter");
    await expect(console.heading).toHaveText("Workspaces");
    await console.settled();

    await tabTo(page, page.getByRole("main").getByRole("link", { name: workspace }));
    await keyboard.press("Enter");
    const navigation = page.getByRole("navigation", { name: "Workspace" });
    await expect(navigation).toBeVisible();
    await tabTo(page, navigation.getByRole("link", { name: "Settings" }));
    await keyboard.press("Enter");
    await expect(console.heading).toHaveText("Workspace Settings");
    await tabTo(page, navigation.getByRole("link", { name: "API Tokens" }));
    await keyboard.press("Enter");
    await expect(console.heading).toHaveText("API Tokens");
    await console.settled();

    await tabTo(page, page.getByRole("link", { name: "Add Token" }).first());
    await keyboard.press("Enter");
    await expect(console.panel).toBeVisible();
    await console.settled();
    await tabTo(page, console.panel.getByLabel("Name", { exact: true }));
    await keyboard.type("by keyboard");
    const group = console.panel.locator("details").filter({ hasText: "rivers:run" }).locator("summary");
    const run = console.panel.getByRole("checkbox", { name: "rivers:run", exact: true });
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
    await expect(console.panel).toBeHidden();
    const row = console.row("by keyboard");
    await expect(row).toBeVisible();
    await console.settled();

    const view = row.getByRole("link", { name: "View" });
    await tabTo(page, view);
    await keyboard.press("Enter");
    await expect(console.panel.getByRole("heading", { name: "by keyboard" })).toBeVisible();
    await expect(console.granted("rivers:run")).toBeVisible();
    if (scripts) {
      await keyboard.press("Escape");
    } else {
      await tabTo(page, console.panel.getByRole("link", { name: "Close" }).first());
      await keyboard.press("Enter");
    }
    await expect(console.panel).toBeHidden();
    await console.settled();

    await tabTo(page, row.getByRole("link", { name: /^Delete/ }));
    await keyboard.press("Enter");
    await expect(console.panel.getByRole("heading", { name: "Delete “by keyboard”?" })).toBeVisible();
    // A single careless Enter must not delete the token.
    await expect(console.panel.getByRole("link", { name: "Cancel" })).toBeFocused();
    await tabTo(page, console.panel.getByRole("button", { name: /^Delete/ }));
    await keyboard.press("Enter");
    await expect(console.panel).toBeHidden();
    await expect(row).toHaveCount(0);
  });
});

test("the first tab stop on every page skips the navigation", async ({ console, page }) => {
  for (const path of ["/workspaces", console.tokensPath]) {
    await console.open(path);
    await page.keyboard.press("Tab");
    const skip = page.getByRole("link", { name: "Skip to content" });
    await expect(skip).toBeFocused();
    await expect(skip).toBeInViewport();
    await page.keyboard.press("Enter");
    await page.keyboard.press("Tab");
    const inMain = await page.evaluate(() => document.activeElement?.closest("main") !== null);
    expect(inMain, path).toBe(true);
  }
});

test("the focus moves into a dialog, stays there and returns to the control that opened it", async ({
  console, page, scripts, tessera, workspace,
}) => {
  test.skip(!scripts, "without JavaScript, dialogs are pages");
  await tessera.createToken(workspace, "alpha", ["rivers:read"]);
  await console.openTokens();
  for (const [opener, close] of [
    [page.getByRole("link", { name: "Add Token" }).first(), "Cancel"],
    [console.row("alpha").getByRole("link", { name: "View" }), "Close"],
    [console.row("alpha").getByRole("link", { name: /^Delete/ }), "Cancel"],
  ] as const) {
    for (const way of ["Escape", close, "Back"]) {
      await test.step(`${opener}, ${way}`, async () => {
        await opener.focus();
        await page.keyboard.press("Enter");
        await expect(console.panel).toBeVisible();
        const within = () => page.evaluate(() => document.activeElement?.closest("dialog") !== null);
        await expect.poll(within).toBe(true);
        // Tab through all controls: the focus may move to the browser, but never to the list.
        for (let presses = 0; presses < 60; presses += 1) {
          await page.keyboard.press("Tab");
          const place = await page.evaluate(() => {
            const active = document.activeElement;
            return active === document.body || active?.closest("dialog") !== null;
          });
          expect(place).toBe(true);
        }
        if (way === "Escape") await page.keyboard.press("Escape");
        else if (way === "Back") await page.goBack();
        else await console.panel.getByRole("link", { name: way }).last().click();
        await expect(console.panel).toBeHidden();
        await expect(opener).toBeFocused();
      });
    }
  }
});

test("the console asks before it discards input or a token that was not copied", async ({
  console, page, scripts,
}) => {
  test.skip(!scripts, "without JavaScript, the page can't ask");
  const asked: string[] = [];
  let answer = false;
  page.on("dialog", (dialog) => {
    asked.push(dialog.message());
    void (answer ? dialog.accept() : dialog.dismiss());
  });
  await console.openTokens();
  await console.openAddToken();
  await console.fillToken({ name: "half a thought", scopes: ["rivers:run"] });
  await page.keyboard.press("Escape");
  await expect.poll(() => asked.length).toBe(1);
  await expect(console.panel.getByLabel("Name", { exact: true })).toHaveValue("half a thought");

  await console.pressCreate();
  await expect(console.secret).toBeVisible();
  await console.done.click();
  await expect.poll(() => asked.length).toBe(2);
  expect(asked[1]).toMatch(/see this token again/);
  await expect(console.secret).toBeVisible();
  answer = true;
  await console.done.click();
  await expect(console.panel).toBeHidden();
  expect(asked).toHaveLength(3);
});

test("after Done, the row of the new token has the focus", async ({ console, page, scripts }) => {
  test.skip(!scripts, "without JavaScript, a flash message names the token");
  await console.openTokens();
  await console.addToken({ name: "fresh", scopes: ["rivers:read"] });
  await console.pressDone();
  await expect(console.row("fresh")).toBeVisible();
  const place = () => page.evaluate(() => document.activeElement?.closest("tr")?.textContent ?? "");
  await expect.poll(place).toContain("fresh");
});

test("after navigation, the heading of the page has the focus", async ({ console, page, scripts, workspace }) => {
  test.skip(!scripts, "without JavaScript, the browser loads a new document");
  await console.open("/workspaces");
  await page.getByRole("main").getByRole("link", { name: workspace }).click();
  await expect(page).toHaveURL(new RegExp(`/workspaces/${workspace}$`));
  await expect(console.heading).toBeFocused();
  await expect(page).toHaveTitle(new RegExp(workspace));
});

test("pointer targets measure at least 24 by 24 pixels", async ({ console, page, tessera, workspace }) => {
  await tessera.createToken(workspace, "alpha", ["rivers:read"]);
  for (const width of [1280, 320]) {
    await page.setViewportSize({ width, height: 800 });
    for (const path of ["/workspaces", console.tokensPath, `${console.tokensPath}/new`]) {
      await console.open(path);
      const small = await page.evaluate(() =>
        [...document.querySelectorAll<HTMLElement>("button, summary, select, input:not([type=hidden]), .button, .icon-button")]
          .filter((element) => element.checkVisibility({ visibilityProperty: true }))
          .map((element) => {
            // A click on the label also ticks a checkbox.
            const label = element instanceof HTMLInputElement ? element.labels?.[0] : undefined;
            const boxes = [element, label].filter((part) => part !== undefined).map((part) => part.getBoundingClientRect());
            const width = Math.max(...boxes.map((box) => box.width));
            const height = Math.max(...boxes.map((box) => box.height));
            return { html: element.outerHTML.slice(0, 120), width, height };
          })
          .filter(({ width, height }) => (width < 24 || height < 24) && width > 0 && height > 0),
      );
      expect(small, `${path} at ${width} px`).toEqual([]);
    }
  }
});
