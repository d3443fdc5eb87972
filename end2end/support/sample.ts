// Fills a workspace so that it looks as if it has been in use for some time.
import { expect } from "@playwright/test";

import type { Tessera } from "./tessera.ts";

const LONG = "partner-acme-readonly-reporting-integration-eu-west-with-a-very-long-name-that-has-no-spaces";

/** Creates tokens in several states, with long and short texts. Waits until the first expires. */
export async function fillWithTokens(tessera: Tessera, workspace: string): Promise<void> {
  const soon = new Date(Date.now() + 5_000).toISOString();
  const later = new Date(Date.now() + 30 * 86_400_000).toISOString();
  const create = (name: string, scopes: string[], ...more: string[]) =>
    tessera.createToken(workspace, name, scopes, more);
  await create("migration-2026", ["connections:write"], "--expires-in", soon, "--description", "One-off import");
  await create("nightly-ingest", ["connections:read", "rivers:run"], "--expires-in", "6d");
  await create("ci", ["rivers:read"], "--expires-in", "never");
  await create(LONG, ["teams:read", "users:read", "rivers:read", "operations:read"], "--not-before", later);
  await create("deploy-bot", ["rivers:run"], "--description", "Starts rivers from the release pipeline");
  const states = async () =>
    (await tessera.cli(["token", "list", "--workspace", workspace, "--state", "expired", "--json"])) !== "[]";
  await expect.poll(states, { timeout: 30_000 }).toBe(true);
}
