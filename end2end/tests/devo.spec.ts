// The script in Devo's documentation, unchanged except for its four variables.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

import { test, expect } from "../support/fixtures.ts";
import { run } from "../support/process.ts";
import { ADMIN } from "../support/tessera.ts";

const DOCUMENTED = new URL("../surfaces/devo.sh", import.meta.url);
const AUDIENCES = ["tessera", "aggregations", "apiv2", "apiv2-admin", "alerts", "http"];
const SCOPES = ["tokens:write", "tokens:reveal", "table://*.**", "level://admin"];

test.skip(({ scripts }) => !scripts, "this test doesn't use a browser");

interface Token {
  id: number;
  name: string;
  scope: string;
  user: string;
  audience: string;
  active: boolean;
  token?: string;
}

test("the documented script creates six tokens, which are listed after the token that the script uses", async ({ tessera }) => {
  const domain = "child@parent";
  await tessera.createWorkspace(domain);
  await tessera.cli(["preset", "apply", "devo", "--workspace", domain, "--yes"]);
  const token = await tessera.cli([
    ...["token", "create", "--workspace", domain, "--name", "input"],
    ...AUDIENCES.flatMap((audience) => ["--audience", audience]),
    ...SCOPES.flatMap((scope) => ["--scope", scope]),
  ]);

  const values = { token, base_url: tessera.url, domain, user: ADMIN.email };
  let script = await readFile(DOCUMENTED, "utf8");
  for (const [name, value] of Object.entries(values)) {
    script = script.replace(new RegExp(`^${name}=".*"$`, "m"), () => `${name}="${value}"`);
  }
  const folder = await mkdtemp(path.join(tmpdir(), "tessera-devo-"));
  try {
    const file = path.join(folder, "tokens.sh");
    await writeFile(file, script);
    const outcome = await run("bash", [file], { environment: { ...process.env, NO_PROXY: "127.0.0.1" } });
    expect(outcome.status, outcome.stderr).toBe(0);
    // curl does not add a line break after a response.
    const answers = outcome.stdout.split(/(?=HTTP\/1\.1 )/);
    expect(answers.map((answer) => answer.split("\r\n")[0])).toEqual(Array(6).fill("HTTP/1.1 200 OK"));
    for (const answer of answers) expect(answer).toMatch(/^x-devo-cid: [0-9a-f-]{36}\r$/m);

    const made = answers.map((answer) => JSON.parse(answer.split("\r\n\r\n")[1]) as Token);
    const [wide] = made.splice(5);
    expect(wide).toMatchObject({ audience: "http", scope: "level://admin table://*.**", user: ADMIN.email });
    expect(made.map(({ audience, scope }) => [audience, scope])).toEqual(
      ["aggregations", "apiv2", "apiv2-admin", "alerts", "http"].map((audience) => [
        audience,
        "level://admin table://my.app.test.tokenapi",
      ]),
    );

    const at = `${tessera.url}/ws/accounts/${domain}/credentials/tokens`;
    const headers = { authorization: `Bearer ${token}` };
    const listed = await (await fetch(at, { headers })).text();
    for (const { token: value } of [...made, wide]) {
      expect(value).toMatch(/^tsr_[0-9A-Za-z]{36}$/);
      expect(listed).not.toContain(value);
    }
    const names = (JSON.parse(listed) as Token[]).map(({ name }) => name);
    expect(names).toEqual(["input", ...made.map(({ name }) => name), wide.name]);
    const one = (await (await fetch(`${at}/${wide.id}`, { headers })).json()) as Token;
    expect(one).toEqual(wide);
  } finally {
    await rm(folder, { recursive: true });
  }
});
