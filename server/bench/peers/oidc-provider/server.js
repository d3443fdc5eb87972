// node oidc-provider: introspection of opaque access tokens (RFC 7662), with its stock adapter, which
// keeps a thousand entries in memory.
//
//     node server.js FOLDER    prints its address; FOLDER/oidc-provider must hold its packages
import { createServer } from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const CLIENT = "bench";
const SECRET = "a-secret-for-a-benchmark";
const TOKENS = 200;

const { default: Provider } = await import(
  pathToFileURL(createRequire(path.resolve(process.argv[2], "package.json")).resolve("oidc-provider"))
);

const server = createServer();
// Keeps connections open for the driver's further requests.
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", async () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(url, {
    clients: [
      {
        client_id: CLIENT,
        client_secret: SECRET,
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
        token_endpoint_auth_method: "client_secret_basic",
      },
    ],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true, allowedPolicy: () => true },
    },
    ttl: { ClientCredentials: 86_400 },
    scopes: ["rivers:run"],
  });
  server.on("request", provider.callback());
  const basic = Buffer.from(`${CLIENT}:${SECRET}`).toString("base64");
  const tokens = [];
  for (let made = 0; made < TOKENS; made += 1) {
    const answer = await fetch(`${url}/token`, {
      method: "POST",
      headers: { authorization: `Basic ${basic}` },
      body: new URLSearchParams({ grant_type: "client_credentials", scope: "rivers:run" }),
    });
    if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
    tokens.push((await answer.json()).access_token);
  }
  console.log(
    JSON.stringify({
      url,
      path: "/token/introspection",
      headers: { Authorization: `Basic ${basic}`, "Content-Type": "application/x-www-form-urlencoded" },
      body: "token={token}",
      good: '"active":true',
      bad: '"active":false',
      tokens,
    }),
  );
});
