// nginx in front of APIs that speak FastCGI, uwsgi, SCGI and gRPC, with the locations in
// docs/gateways.md and the files that they include.
import { readFile } from "node:fs/promises";
import path from "node:path";

import { curl, python } from "../support/callers.ts";
import { expect } from "../support/fixtures.ts";
import { known, test as base } from "../support/gateway-test.ts";
import { type Edit, Gateway, PARAMS } from "../support/gateway.ts";
import { freePorts } from "../support/ports.ts";
import { Running, run } from "../support/process.ts";
import { program, ROOT } from "../support/programs.ts";
import { ADMIN } from "../support/tessera.ts";

const APIS = path.join(ROOT, "end2end/apis");
const HERE = path.join(ROOT, "end2end/gateway");

/** The paths of the documented locations. */
const CGI = { fastcgi: "/api/reports", uwsgi: "/api/forecasts", scgi: "/api/ledgers" } as const;
type Protocol = keyof typeof CGI;
const PROTOCOLS = Object.keys(CGI) as Protocol[];
const METHOD = "/rivers.Rivers/List";

/** Headers with which a caller can claim an identity, a method, a path or an address. */
const CLAIMS = [
  ...["Token-Id", "User", "User-Id", "Workspace", "Scopes", "Code", "Stale"].map((name) => `X-Tessera-${name}`),
  ...["X_Tessera_User", "X.Tessera.User", "X-Tessera_User", "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"],
  ...["X-Original-URL", "X-Original-URI", "X-Original-Method", "X-Rewrite-URL", "X-Forwarded-Host", "X-Forwarded-Port"],
  ...["X-Forwarded-Prefix", "Forwarded", "X-Real-IP", "X-Forwarded-For", "Proxy"],
  ...["X-Original-Host", "X-Original-Forwarded-For", "X-Forwarded", "X-Forwarded-Method", "X-Forwarded-Uri"],
  ...["Client-IP", "True-Client-IP", "X-Client-IP", "X-Cluster-Client-IP", "Fastly-Client-IP"],
  ...["CF-Connecting-IP", "CF-Connecting-IPv6"],
];

/** The ports on which the APIs listen. */
interface Apis {
  ports: Record<Protocol | "grpc", number>;
}

/** Returns the documented locations, with these ports of the APIs. */
async function documented(ports: Apis["ports"]): Promise<string> {
  const page = await readFile(path.join(ROOT, "docs/gateways.md"), "utf8");
  const [block] = [...page.matchAll(/```nginx\n(.*?)```/gs)].map(([, text]) => text).filter((text) => text.includes("grpc_pass grpc:"));
  let text = block;
  for (const [protocol, port] of Object.entries(ports)) {
    const pass = new RegExp(`(${protocol}_pass (?:grpc://)?127\\.0\\.0\\.1:)\\d+;`);
    expect(text, protocol).toMatch(pass);
    text = text.replace(pass, `$1${port};`);
  }
  return text;
}

/** Adds these locations and an HTTP/2 port to the documented configuration. */
function add(locations: string, http2?: number): Edit {
  return (_, text) =>
    text
      .replace("    location / {", () => `${locations}\n    location / {`)
      .replace("listen 127.0.0.1:8000;", `listen 127.0.0.1:8000;${http2 ? ` listen 127.0.0.1:${http2} http2;` : ""}`);
}

const test = base.extend<object, { apis: Apis }>({
  apis: [
    async ({}, use) => {
      const [fastcgi, uwsgi, scgi] = await freePorts(3);
      const sockets = Object.entries({ fastcgi, uwsgi, scgi }).flatMap(([name, port]) => [`--${name}-socket`, `127.0.0.1:${port}`]);
      const wsgi = Running.start("uWSGI", program("uwsgi"), [
        ...["--master", "--die-on-term", "--need-app", "--processes", "1", "--buffer-size", "32768"],
        ...["--wsgi-file", path.join(APIS, "environ.py"), ...sockets],
      ]);
      const grpc = Running.start("the gRPC service", python(), [path.join(APIS, "grpc_echo.py"), "serve"]);
      await wsgi.says((text) => text.includes("spawned uWSGI worker 1") || null);
      const port = await grpc.says((text) => text.match(/listening on (\d+)/)?.[1]);
      await use({ ports: { fastcgi, uwsgi, scgi, grpc: Number(port) } });
      await Promise.all([wsgi.stop(), grpc.stop()]);
    },
    { scope: "worker" },
  ],
});

test.skip(({ scripts }) => !scripts, "this test doesn't use a browser");

/** Calls the gRPC service. */
async function callGrpc(port: number, headers: [string, string][]) {
  const client = [path.join(APIS, "grpc_echo.py"), "call", `127.0.0.1:${port}`, METHOD];
  const outcome = await run(python(), [...client, JSON.stringify(headers)]);
  expect(outcome.status, outcome.stderr).toBe(0);
  return JSON.parse(outcome.stdout) as { status: string; answer?: { method: string; headers: [string, string][] } };
}

for (const protocol of PROTOCOLS) {
  test(`an API behind ${protocol}_pass receives the caller's identity, but none of the caller's claims`, async ({
    tessera, workspace, apis,
  }) => {
    const gateway = await Gateway.start(tessera.url, workspace, "nginx", add(await documented(apis.ports)));
    const url = `${gateway.url}${CGI[protocol]}`;
    try {
      const token = await tessera.createToken(workspace, "reader", ["rivers:read"]);
      const claims = CLAIMS.flatMap((name) => ["-H", `${name}: evil`]);
      for (const header of ["Authorization: Bearer", "Token:", "rime-api-key:"]) {
        const answer = await curl(`${url}?a=b`, undefined, ["-X", "GET", "-H", `${header} ${token}`, ...claims]);
        expect(answer.status, answer.body).toBe(200);
        expect(answer.body).not.toContain("evil");
        expect(answer.body).not.toContain(token);
        const told = JSON.parse(answer.body) as Record<string, string>;
        const identity = Object.fromEntries(
          Object.entries(told)
            .filter(([name]) => /tessera/i.test(name))
            .map(([name, value]) => [name.replace("HTTP_", "").replaceAll("_", "-").toLowerCase(), value]),
        );
        expect(identity).toEqual(known(workspace, /\brivers:read\b/));
        expect(told).toMatchObject({ HTTP_X_FORWARDED_FOR: "127.0.0.1", REQUEST_METHOD: "GET", REQUEST_URI: `${CGI[protocol]}?a=b` });
      }
      const other = await tessera.createToken(workspace, "runner", ["rivers:run"]);
      expect((await curl(url, other, ["-X", "GET"])).status).toBe(403);
      expect((await curl(url, undefined, ["-X", "GET"])).status).toBe(401);
    } finally {
      await gateway.destroy();
    }
  });
}

test("an API behind grpc_pass receives the caller's identity, but none of the caller's claims", async ({ tessera, workspace, apis }) => {
  const [port] = await freePorts(1);
  const gateway = await Gateway.start(tessera.url, workspace, "nginx", add(await documented(apis.ports), port));
  try {
    const token = await tessera.createToken(workspace, "reader", ["rivers:read"]);
    // `Proxy` is only dangerous for CGI programs.
    const claims = CLAIMS.filter((name) => name !== "Proxy").map((name): [string, string] => [name.toLowerCase(), "evil"]);
    for (const [name, value] of [["authorization", `Bearer ${token}`], ["token", token], ["rime-api-key", token]]) {
      const { status, answer } = await callGrpc(port, [[name, value], ...claims]);
      expect(status).toBe("OK");
      expect(answer?.method).toBe(METHOD);
      expect(JSON.stringify(answer)).not.toContain("evil");
      expect(JSON.stringify(answer)).not.toContain(token);
      const identity = answer?.headers.filter(([name]) => /tessera/.test(name)) ?? [];
      expect(Object.fromEntries(identity)).toEqual(known(workspace, /\brivers:read\b/));
      expect(identity).toHaveLength(5);
    }
    const other = await tessera.createToken(workspace, "runner", ["rivers:run"]);
    expect((await callGrpc(port, [["token", other]])).status).toBe("PERMISSION_DENIED");
    expect((await callGrpc(port, [["x-tessera-user", "evil"]])).status).toBe("UNAUTHENTICATED");
  } finally {
    await gateway.destroy();
  }
});

test("proxy_set_header has no effect in these locations, so each must include its file", async ({ tessera, workspace, apis }) => {
  const locations = (await documented(apis.ports)).replaceAll(/ +include tessera_\w+;\n/g, "");
  const gateway = await Gateway.start(tessera.url, workspace, "nginx", add(locations));
  try {
    const token = await tessera.createToken(workspace, "reader", ["rivers:read"]);
    for (const protocol of PROTOCOLS) {
      const claim = ["-X", "GET", "-H", "X-Tessera-User: evil"];
      const { body } = await curl(`${gateway.url}${CGI[protocol]}`, token, claim);
      expect(JSON.parse(body)).toMatchObject({ HTTP_X_TESSERA_USER: "evil", HTTP_AUTHORIZATION: `Bearer ${token}` });
    }
  } finally {
    await gateway.destroy();
  }
});

test("a location that sets a header and includes the file keeps the other headers", async ({ tessera, workspace }) => {
  const place = "        set $tessera_scope rivers:run;\n";
  const own = `${place}        include tessera_proxy_params;\n        proxy_set_header X-Own own;\n`;
  const gateway = await Gateway.start(tessera.url, workspace, "nginx", (_, text) => text.replace(place, () => own));
  try {
    const token = await tessera.createToken(workspace, "runner", ["rivers:run"]);
    const answer = await curl(`${gateway.url}/api/run`, token, CLAIMS.flatMap((name) => ["-H", `${name}: evil`]));
    const { headers } = JSON.parse(answer.body) as { headers: [string, string][] };
    expect(headers).toContainEqual(["x-own", "own"]);
    expect(headers).toContainEqual(["x-tessera-user", ADMIN.email]);
    // `Proxy` is only dangerous for CGI programs.
    expect(headers.filter(([name, value]) => value === "evil" && name !== "proxy")).toEqual([]);
    expect(answer.body).not.toContain(token);
  } finally {
    await gateway.destroy();
  }
});

/** Returns the names that an nginx file sets, as headers in lower case. */
function names(text: string): string[] {
  return [...text.matchAll(/^\s*(?:\w+_set_header|\w+_param) (\S+)/gm)]
    .map(([, name]) => name.replace(/^HTTP_/, "").replaceAll("_", "-").toLowerCase())
    .sort();
}

test("every file sets the same headers as nginx.conf, and the page shows it", async () => {
  const page = await readFile(path.join(ROOT, "docs/gateways.md"), "utf8");
  const configuration = await readFile(path.join(HERE, "nginx.conf"), "utf8");
  const server = configuration.slice(configuration.indexOf("    # The caller's identity"), configuration.indexOf("    # Refusals"));
  const expected = names(server).filter((name) => !["host", "connection"].includes(name));
  expect(expected.length).toBeGreaterThan(20);
  for (const file of PARAMS) {
    const text = await readFile(path.join(HERE, file), "utf8");
    const found = names(text).filter((name) => !["host", "connection", "proxy"].includes(name));
    expect(found, file).toEqual(expected);
    expect(page).toContain(`[\`${file}\`](../end2end/gateway/${file})`);
  }
  const fastcgi = await readFile(path.join(HERE, "tessera_fastcgi_params"), "utf8");
  expect(page).toContain(`\n${fastcgi}\`\`\`\n`);
});
