// Checks with axe: all rules for WCAG 2.2 AA and axe's best practices.
import { AxeBuilder } from "@axe-core/playwright";
import { type Page, expect } from "@playwright/test";

/** Expects that axe finds no violations on the page in its current state. */
export async function expectAccessible(page: Page, place: string): Promise<void> {
  // axe waits for timers, which browsers don't run if JavaScript is disabled. In that case run
  // their callbacks immediately. This can't affect the page, because it runs no scripts of its own.
  if (!(await page.evaluate(() => matchMedia("(scripting: enabled)").matches))) {
    await page.evaluate(() => {
      window.setTimeout = ((act: () => void) => void Promise.resolve().then(act)) as unknown as typeof window.setTimeout;
    });
  }
  const results = await new AxeBuilder({ page })
    .withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"])
    // axe reads the style sheets from the page and does not need to fetch them again.
    .options({ preload: false })
    // Run entirely in this page instead of finishing in a blank page.
    .setLegacyMode(true)
    .analyze();
  const found = results.violations.map(
    ({ id, help, nodes }) => `${id}: ${help}\n  ${nodes.map((node) => `${node.html}\n    ${node.failureSummary}`).join("\n  ")}`,
  );
  expect(found, `axe on ${place}`).toEqual([]);
}

/** Expects that no element extends beyond the right edge of the window. */
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
