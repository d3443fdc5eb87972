// Helpers for using a page with only the keyboard.
import { type Locator, type Page, expect } from "@playwright/test";

/** Presses Tab until `target` has the focus. Throws after `most` presses. */
export async function tabTo(page: Page, target: Locator, most = 80): Promise<void> {
  await expect(target).toBeVisible();
  const focused = () => target.evaluate((element) => element === document.activeElement);
  for (let presses = 0; presses < most; presses += 1) {
    if (await focused()) return expectVisibleFocus(target);
    await page.keyboard.press("Tab");
  }
  const stuck = await page.evaluate(() => document.activeElement?.outerHTML.slice(0, 200));
  throw new Error(`${target} did not get the focus after ${most} presses of Tab; the focus is on ${stuck}`);
}

/** Expects that the focus is visible on the element, its label, its next sibling or an ancestor. */
async function expectVisibleFocus(target: Locator): Promise<void> {
  const seen = await target.evaluate((element) => {
    const outlined = (style: CSSStyleDeclaration) =>
      (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none";
    const marked = (candidate: Element | null) =>
      candidate !== null &&
      [undefined, "::before", "::after"].some((part) => outlined(getComputedStyle(candidate, part)));
    const label = element instanceof HTMLInputElement ? element.labels?.[0] : null;
    // A card shows the focus of the link that spans it.
    const around = [];
    for (let parent = element.parentElement; parent && around.length < 4; parent = parent.parentElement) {
      around.push(parent);
    }
    return [element, label ?? null, element.nextElementSibling, ...around].some(marked);
  });
  expect(seen, `visible focus on ${target}`).toBe(true);
}
