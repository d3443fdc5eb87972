// The two clients with which the product's own document calls an API: curl and Python's `requests`.
import { run } from "./process.ts";
import { program } from "./programs.ts";

export const RIVER_ID = "63b724fc690def001131d242";

export interface Answer {
  status: number;
  headers: Map<string, string>;
  body: string;
}

/** Calls an API with curl, in the document's form. Omits the Authorization header if `token` is
 * undefined. */
export async function curl(url: string, token: string | undefined, more: string[] = []): Promise<Answer> {
  const bearer = token === undefined ? [] : ["-H", `Authorization: Bearer ${token}`];
  return call(url, [
    ...["-X", "POST"],
    ...["-H", "accept: application/json"],
    ...bearer,
    ...["-H", "Content-Type: application/json"],
    ...["-d", `{ "river_id": "${RIVER_ID}"}`],
    ...more,
  ]);
}

/** Runs curl with these arguments and the unmodified URL, including its dot segments. */
export async function call(url: string, args: string[], input?: string): Promise<Answer> {
  const always = ["--silent", "--show-error", "--include", "--max-time", "20", "--noproxy", "*", "--path-as-is"];
  // Suppress "Expect: 100-continue", which would put an interim response before the final one.
  const outcome = await run("curl", [...always, "-H", "Expect:", ...args, url], { input });
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

/** The lines from `import requests` to `requests.post` are copied from the document. */
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

/** Returns a Python interpreter that has `requests`. */
export function python(): string {
  const found = program("python");
  return found === "python" ? "python3" : found;
}

/** Calls an API with Python's `requests`, in the document's form. */
export async function pythonRequests(url: string, token: string): Promise<Answer> {
  const environment = { ...process.env, RIVER_API_TOKEN: token, NO_PROXY: "127.0.0.1" };
  const outcome = await run(python(), ["-c", SNIPPET, url], { environment });
  if (outcome.status !== 0) throw new Error(`python: ${outcome.status}\n${outcome.stderr}`);
  const answer = JSON.parse(outcome.stdout) as { status: number; headers: [string, string][]; body: string };
  return { ...answer, headers: new Map(answer.headers.map(([name, value]) => [name.toLowerCase(), value])) };
}
