// axe with every rule of WCAG 2.2 AA and its best practices.
import { AxeBuilder } from "@axe-core/playwright";
import { type Page, expect } from "@playwright/test";

/** Finds nothing to mend on the page as it is now. */
export async function expectAccessible(page: Page, place: string): Promise<void> {
  // axe is a script that waits for timers. Where scripts are off a browser runs none, so there its
  // waiting is done at once; no script of the page's own can notice, for none runs.
  if (!(await page.evaluate(() => matchMedia("(scripting: enabled)").matches))) {
    await page.evaluate(() => {
      window.setTimeout = ((act: () => void) => void Promise.resolve().then(act)) as unknown as typeof window.setTimeout;
    });
  }
  const results = await new AxeBuilder({ page })
    .withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"])
    // Style sheets are read from the page; asking for them again is needless.
    .options({ preload: false })
    // In one go in this page, rather than finishing in an empty one.
    .setLegacyMode(true)
    .analyze();
  const found = results.violations.map(
    ({ id, help, nodes }) => `${id}: ${help}\n  ${nodes.map((node) => `${node.html}\n    ${node.failureSummary}`).join("\n  ")}`,
  );
  expect(found, `axe on ${place}`).toEqual([]);
}

/** Nothing reaches beyond the right edge of the window. */
export async function expectNoSidewaysScrolling(page: Page, place: string): Promise<void> {
  const overflow = await page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    return [...document.querySelectorAll("body *")]
      .filter((element) => element.getBoundingClientRect().right > width + 1)
      .map((element) => `<${element.tagName.toLowerCase()} class="${element.className}"> ends at ${Math.round(element.getBoundingClientRect().right)} of ${width}`);
  });
  expect(overflow, `sideways scrolling on ${place}`).toEqual([]);
}
