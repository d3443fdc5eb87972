// The number of bytes that a first visit transfers.
import { expect, test } from "../support/fixtures.ts";

// A ratchet: the current weight of a first visit, with a small margin. The goal is 300 kB.
const BUDGET = 510 * 1000;

test("a first visit loads at most 510 kB of scripts, WebAssembly and styles", async ({
  console, page, guard, scripts,
}) => {
  test.info().annotations.push({ type: "budget", description: `${BUDGET} bytes` });
  const weights: { url: string; bytes: number; encoding: string | undefined; kept: string | undefined }[] = [];
  const measured: Promise<void>[] = [];
  page.on("requestfinished", (request) => {
    if (!/\.(js|mjs|wasm|css)$/.test(new URL(request.url()).pathname)) return;
    measured.push(
      (async () => {
        const answer = (await request.response())!;
        weights.push({
          url: new URL(request.url()).pathname,
          bytes: (await request.sizes()).responseBodySize,
          encoding: await answer.headerValue("content-encoding") ?? undefined,
          kept: await answer.headerValue("cache-control") ?? undefined,
        });
      })(),
    );
  });
  await console.openTokens();
  await expect(page.getByRole("link", { name: "Add Token" }).first()).toBeVisible();
  await Promise.all(measured);

  const kinds = new Set(weights.map(({ url }) => url.split(".").at(-1)));
  expect(kinds).toEqual(new Set(scripts ? ["css", "js", "wasm"] : ["css"]));
  for (const { url, encoding, kept } of weights) {
    // Chromium accepts brotli only over HTTPS, so the brotli variant is measured below.
    expect(encoding, url).toMatch(/^(br|gzip)$/);
    expect(kept, url).toContain("immutable");
  }

  const request = page.context().request;
  let total = 0;
  for (const { url } of weights) {
    const answer = await request.head(url, { headers: { "accept-encoding": "br" } });
    expect(answer.headers()["content-encoding"], url).toBe("br");
    const bytes = Number(answer.headers()["content-length"]);
    expect(bytes, url).toBeGreaterThan(0);
    test.info().annotations.push({ type: "brotli bytes", description: `${url}: ${bytes}` });
    total += bytes;
  }
  expect(total).toBeLessThanOrEqual(BUDGET);
  expect(guard.violations).toEqual([]);
});
