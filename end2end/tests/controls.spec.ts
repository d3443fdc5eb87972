// Controls for the checks: each check must fail if there is a violation.
import { expectAccessible, expectNoSidewaysScrolling } from "../support/accessibility.ts";
import { expect, test } from "../support/fixtures.ts";

const PAGE = (body: string, head = "") =>
  `<!DOCTYPE html><html lang="en"><head><title>Control</title>${head}</head><body><main><h1>Control</h1>${body}</main></body></html>`;

test("axe finds an image without alternative text and text with too little contrast", async ({ page }) => {
  await page.setContent(PAGE(`<img src="data:," width="9" height="9">`));
  await expect(expectAccessible(page, "control")).rejects.toThrow(/image-alt/);
  await page.setContent(PAGE(`<p style="color: #bbb; background: #fff">pale</p>`));
  await expect(expectAccessible(page, "control")).rejects.toThrow(/color-contrast/);
  await page.setContent(PAGE("<p>good</p>"));
  await expectAccessible(page, "control");
});

test("the check detects sideways scrolling", async ({ page }) => {
  await page.setContent(PAGE(`<div style="width: 3000px">wide</div>`));
  await expect(expectNoSidewaysScrolling(page, "control")).rejects.toThrow(/ends at/);
});

test("the guard detects other hosts, failed requests and unexpected responses", async ({ page, guard, tessera }) => {
  await page.route("https://cdn.example/**", (route) => route.fulfill({ body: "" }));
  await page.route(`${tessera.url}/cut`, (route) => route.abort("connectionreset"));
  await page.route(`${tessera.url}/control`, (route) =>
    route.fulfill({
      contentType: "text/html",
      body: PAGE(`<img src="/cut" alt=""><img src="/nowhere.png" alt="">`, `<link rel="stylesheet" href="https://cdn.example/x.css">`),
    }),
  );
  await page.goto("/control");
  const violations = guard.violations.splice(0).join("\n");
  expect(violations).toContain("third-party request: https://cdn.example/x.css");
  expect(violations).toContain(`failed request: GET ${tessera.url}/cut`);
  expect(violations).toContain(`response 404: GET ${tessera.url}/nowhere.png`);
});

test("the guard detects violations of the content security policy", async ({ page, guard, tessera }) => {
  await page.route(`${tessera.url}/control`, (route) =>
    route.fulfill({
      contentType: "text/html",
      headers: { "content-security-policy": "default-src 'none'" },
      body: PAGE("", "<style>p { color: red }</style>"),
    }),
  );
  await page.goto("/control");
  await expect.poll(() => guard.violations.join("\n")).toMatch(/Content Security Policy/);
  guard.violations.splice(0);
});

test("the guard detects console errors and uncaught errors", async ({ page, guard, scripts }) => {
  test.skip(!scripts, "without JavaScript there are no script errors");
  await page.setContent(PAGE(`<script>console.error("hydration mismatch"); throw new Error("broken")</script>`));
  await expect.poll(() => guard.violations.join("\n")).toMatch(/hydration mismatch[\s\S]*broken|broken[\s\S]*hydration mismatch/);
  guard.violations.splice(0);
});
