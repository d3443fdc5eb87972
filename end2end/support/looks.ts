// Checks accessibility and layout of a screen in both themes and widths, and takes screenshots.
import path from "node:path";
import { fileURLToPath } from "node:url";

import { test } from "@playwright/test";

import { expectAccessible, expectNoSidewaysScrolling } from "./accessibility.ts";
import type { Console } from "./console.ts";

const SCREENS = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../test-results/screens");

export const WIDTHS = [1280, 320] as const;
export const THEMES = ["light", "dark"] as const;

/**
 * Checks the screen that `show` opens, and takes a screenshot, for each theme and width. `show`
 * runs once for each theme, because the server renders the theme. The width changes while the page
 * is open.
 */
export async function expectGoodLooks(console: Console, name: string, show: () => Promise<void>): Promise<void> {
  const { page } = console;
  for (const theme of THEMES) {
    await page.context().addCookies([{ name: "theme", value: theme, url: console.origin }]);
    await page.setViewportSize({ width: WIDTHS[0], height: 800 });
    await show();
    for (const width of WIDTHS) {
      await test.step(`${name}, ${theme}, ${width} px`, async () => {
        await page.setViewportSize({ width, height: 800 });
        const place = `${name} (${theme}, ${width} px)`;
        const file = `${name}-${theme}-${width}.png`;
        await page.screenshot({
          path: path.join(SCREENS, test.info().project.name, file),
          // A dialog over the list covers the viewport, not the whole document.
          fullPage: !name.endsWith("-over-list"),
          animations: "disabled",
        });
        await expectAccessible(page, place);
        await expectNoSidewaysScrolling(page, place);
      });
    }
  }
}
