// better-auth with its plugin for API keys: `verifyApiKey` behind a separate endpoint, in memory or on
// PostgreSQL. Its limit of ten requests per day is off, and its writes for each verification are
// deferred.
//
//     node server.js FOLDER memory
//     node server.js FOLDER SOCKET-FOLDER DATABASE
import { createServer } from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [folder, place, database] = process.argv.slice(2);
const require = createRequire(path.resolve(folder, "package.json"));
const load = (name) => import(pathToFileURL(require.resolve(name)));
// Its memory store searches through all of them for each request.
const TOKENS = 100;

const { betterAuth } = await load("better-auth");
const { apiKey } = await load("@better-auth/api-key");

const stores = { user: [], session: [], account: [], verification: [], apikey: [] };
const options = {
  baseURL: "http://127.0.0.1",
  secret: "a secret for a benchmark, of some length",
  emailAndPassword: { enabled: true },
  telemetry: { enabled: false },
  rateLimit: { enabled: false },
  logger: { level: "error" },
  advanced: { backgroundTasks: { handler: (promise) => promise.catch(() => {}) } },
  plugins: [
    apiKey({ rateLimit: { enabled: false }, deferUpdates: true, enableMetadata: false }),
  ],
};
if (place === "memory") {
  const { memoryAdapter } = await load("better-auth/adapters/memory");
  options.database = memoryAdapter(stores);
} else {
  const { default: pg } = await load("pg");
  options.database = new pg.Pool({ host: place, user: "tessera", database, max: 10 });
  const { getMigrations } = await load("better-auth/db/migration");
  await (await getMigrations(options)).runMigrations();
}
const auth = betterAuth(options);

const { user } = await auth.api.signUpEmail({
  body: { email: "bench@example.com", name: "Bench", password: "a password for a benchmark" },
});
const tokens = [];
for (let made = 0; made < TOKENS; made += 1) {
  const { key } = await auth.api.createApiKey({ body: { name: "bench", userId: user.id } });
  tokens.push(key);
}

const server = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", async () => {
    const { key } = JSON.parse(Buffer.concat(chunks).toString());
    const body = JSON.stringify(await auth.api.verifyApiKey({ body: { key } }));
    response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
    response.end(body);
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => {
  console.log(
    JSON.stringify({
      url: `http://127.0.0.1:${server.address().port}`,
      path: "/verify",
      headers: { "Content-Type": "application/json" },
      body: '{"key":"{token}"}',
      good: '"valid":true',
      bad: '"valid":false',
      tokens,
    }),
  );
});
