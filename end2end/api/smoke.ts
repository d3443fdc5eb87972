// Takes a token through its lifecycle with the generated TypeScript types. Reads the managing token
// from standard input.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import createClient from "openapi-fetch";

import type { paths } from "../../target/clients/api.d.ts";

const url = process.argv[2];
const secret = readFileSync(0, "utf8").trim();
const api = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${secret}` } });

const me = await api.GET("/api/v1/self");
assert.equal(me.data?.name, "clients");

const made = await api.POST("/api/v1/workspaces/{ws}/tokens", {
  params: { path: { ws: "workspace-1" } },
  body: { name: "from typescript", scopes: ["rivers:run"] },
});
assert(made.data, JSON.stringify(made.error));
const id = made.data.token.id;

const verify = async (scope: string) => {
  const body = { token: made.data.secret, audience: "default", scopes: [scope] };
  return (await api.POST("/api/v1/verify", { body })).data?.code;
};
assert.equal(await verify("rivers:run"), "VALID");
assert.equal(await verify("rivers:write"), "INSUFFICIENT_SCOPE");

const gone = await api.DELETE("/api/v1/tokens/{id}", { params: { path: { id } } });
assert.equal(gone.response.status, 204);
assert.equal(await verify("rivers:run"), "REVOKED");

const refused = await api.GET("/api/v1/tokens/{id}", { params: { path: { id } } });
assert.equal(refused.error?.code, "not_found");
console.log("    created, verified and deleted a token");
