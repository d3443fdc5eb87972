// The two ways in which the product's own document calls an API: curl, and Python's `requests`.
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { run } from "./process.ts";

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");

export const RIVER_ID = "63b724fc690def001131d242";

export interface Answer {
  status: number;
  headers: Map<string, string>;
  body: string;
}

/** curl, in the document's form; `token` undefined leaves the header out. */
export async function curl(url: string, token: string | undefined, more: string[] = []): Promise<Answer> {
  const bearer = token === undefined ? [] : ["-H", `Authorization: Bearer ${token}`];
  const outcome = await run("curl", [
    ...["--silent", "--show-error", "--include", "--max-time", "20", "--noproxy", "*"],
    ...["-X", "POST", url],
    ...["-H", "accept: application/json"],
    ...bearer,
    ...["-H", "Content-Type: application/json"],
    ...["-d", `{ "river_id": "${RIVER_ID}"}`],
    ...more,
  ]);
  if (outcome.status !== 0) throw new Error(`curl: ${outcome.status}\n${outcome.stderr}`);
  const [head, ...rest] = outcome.stdout.split("\r\n\r\n");
  const [line, ...headers] = head.split("\r\n");
  return {
    status: Number(line.split(" ")[1]),
    headers: new Map(
      headers.map((header) => {
        const colon = header.indexOf(":");
        return [header.slice(0, colon).toLowerCase(), header.slice(colon + 1).trim()];
      }),
    ),
    body: rest.join("\r\n\r\n"),
  };
}

/** The lines from `import requests` to `requests.post` are the document's own. */
const SNIPPET = `
import os, sys
url, river_api_token = sys.argv[1], os.environ["RIVER_API_TOKEN"]

import requests
import json
RIVER_ID = '${RIVER_ID}'
payload = json.dumps({"river_id": RIVER_ID})  # converting dictionary into JSON string
headers = {'accept': 'application/json', 'Authorization': f"Bearer {river_api_token}", 'Content-Type': 'application/json'}
r = requests.post(url, data=payload, headers=headers)

print(json.dumps({"status": r.status_code, "headers": list(r.headers.items()), "body": r.text}))
`;

/** A Python that has `requests`. */
function python(): string {
  const own = path.join(ROOT, "target/python/bin/python");
  return process.env.PYTHON ?? (existsSync(own) ? own : "python3");
}

/** Python's `requests`, in the document's form. */
export async function pythonRequests(url: string, token: string): Promise<Answer> {
  const environment = { ...process.env, RIVER_API_TOKEN: token, NO_PROXY: "127.0.0.1" };
  const outcome = await run(python(), ["-c", SNIPPET, url], { environment });
  if (outcome.status !== 0) throw new Error(`python: ${outcome.status}\n${outcome.stderr}`);
  const answer = JSON.parse(outcome.stdout) as { status: number; headers: [string, string][]; body: string };
  return { ...answer, headers: new Map(answer.headers.map(([name, value]) => [name.toLowerCase(), value])) };
}
