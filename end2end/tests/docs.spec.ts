// Runs every command in docs/ as a reader would. See support/documents.ts.
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";

import { expect, test } from "@playwright/test";

import { blocks, OWNER, runBlocks } from "../support/documents.ts";
import { ROOT } from "../support/programs.ts";
import { Tessera } from "../support/tessera.ts";

const DOCS = path.join(ROOT, "docs");
const pages = readdirSync(DOCS).filter((name) => name.endsWith(".md")).sort();

test.skip(({ javaScriptEnabled }) => javaScriptEnabled === false, "this test doesn't use a browser");

for (const page of pages) {
  test(`the commands in docs/${page} succeed`, async () => {
    test.setTimeout(300_000);
    const commands = blocks(readFileSync(path.join(DOCS, page), "utf8"));
    test.skip(commands.length === 0, "the page has no commands");
    const tessera = await Tessera.startWithAdmin(OWNER);
    try {
      const { begun, failure } = await runBlocks(`docs/${page}`, commands, tessera);
      expect(failure).toBeUndefined();
      expect(begun).toBe(commands.length);
    } finally {
      await tessera.destroy();
    }
  });
}

test("docs/README.md links every page", () => {
  const list = readFileSync(path.join(DOCS, "README.md"), "utf8");
  for (const page of pages.filter((name) => name !== "README.md")) expect(list).toContain(`](${page})`);
  for (const [, link] of list.matchAll(/\]\(([^)/]+\.md)\)/g)) expect(pages).toContain(link);
});

test.describe("the runner", () => {
  const page = (...lines: string[]) => blocks(lines.join("\n"));

  test("keeps variables between blocks and reports the failed block with its output", async () => {
    const tessera = await Tessera.startWithAdmin(OWNER);
    try {
      const good = page(
        ...["```bash", "mkdir work; cd work", "HERE=1 SHOWN=2", "export SHOWN", "sleep 600 &", "```"],
        ...["1. In a list:", "", "   ```python", "   import os", "   assert os.environ['SHOWN'] == '2'", "   ```"],
        ...["```bash", 'test "$HERE" = 1; test "$(basename "$PWD")" = work', "```"],
        ...["```python", "import os, requests", "assert 'HERE' not in os.environ", "```"],
        ...["```bash", 'curl --fail-with-body --silent "$TESSERA_URL/readyz"', "tessera user list | grep admin@example.com", "```"],
        ...["```bash noexec", "exit 7", "```", "```text", "exit 8", "```"],
      );
      expect(good).toHaveLength(5);
      expect(await runBlocks("good.md", good, tessera)).toEqual({ begun: 5 });

      const bad = page("# Bad", "```bash", "echo before", "```", "", "```bash", "echo seen", "false | cat", "echo unseen", "```");
      const { begun, failure } = await runBlocks("bad.md", bad, tessera);
      expect(begun).toBe(2);
      expect(failure).toBe("bad.md: the block at line 7 failed with status 1:\nseen\n");

      for (const [commands, said] of [
        [["```bash", "true", "no-such-program", "```"], /line 2 failed with status 127.*bad\.md: line 3: no-such-program/s],
        [["```bash", 'echo "$UNSET_VARIABLE"', "```"], /line 2 failed with status 1.*UNSET_VARIABLE: unbound/s],
        [["```bash", "if true", "```"], /line 2 failed with status.*syntax error/s],
        [["", "```python", "", "raise ValueError('odd')", "```"], /line 3 failed with status 1.*line 4.*ValueError: odd/s],
        [["```bash", 'curl --fail-with-body --silent "$TESSERA_URL/api/v1/self"', "```"], /status 22.*unauthenticated/s],
      ] as const) {
        expect((await runBlocks("bad.md", page(...commands), tessera)).failure).toMatch(said);
      }
    } finally {
      await tessera.destroy();
    }
  });

  test("rejects blocks that would silently not run", () => {
    expect(() => page("```sh", "true", "```")).toThrow("don't run");
    expect(() => page("```bash no-exec", "true", "```")).toThrow("no-exec");
    expect(() => page("```bash", "true")).toThrow("not closed");
  });
});
