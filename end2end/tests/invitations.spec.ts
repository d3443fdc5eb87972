// Invitations: a workspace administrator invites a person, who accepts or declines.
import type { Page } from "@playwright/test";

import type { Console } from "../support/console.ts";
import { expect, test } from "../support/fixtures.ts";
import { expectGoodLooks } from "../support/looks.ts";
import { createMember } from "../support/members.ts";
import type { Tessera } from "../support/tessera.ts";

test.use({ signedIn: false });

interface Place {
  console: Console;
  page: Page;
  tessera: Tessera;
  workspace: string;
}

/** Creates a workspace administrator and a person who is in no workspace. */
async function people({ tessera, workspace }: Place): Promise<{ lead: Account; grace: Account }> {
  const lead = await createMember(tessera, `lead@${workspace}.example`, { workspace, role: "admin" });
  return { lead, grace: await createMember(tessera, `grace@${workspace}.example`) };
}

type Account = Awaited<ReturnType<typeof createMember>>;

/** Signs in as another person in the same browser. */
async function become({ console, page }: Place, { email, password }: Account): Promise<void> {
  await page.context().clearCookies();
  await console.open("/sign-in");
  await console.signIn(email, password);
  await expect(console.heading).toHaveText("Workspaces");
  await console.settled();
}

const members = (workspace: string) => `/workspaces/${workspace}/settings/members`;

async function invite({ page, workspace, console }: Place, email: string, role = "Member"): Promise<void> {
  await page.goto(members(workspace));
  await expect(console.heading).toHaveText("Members");
  await page.getByLabel("E-mail address").fill(email);
  await page.getByLabel("Role").selectOption(role);
  await page.getByRole("button", { name: "Invite a person" }).click();
}

const open = (page: Page) => page.getByRole("table", { name: "Open invitations" });

test("an invited person becomes a member only by accepting", async ({ console, page, guard, tessera, workspace }) => {
  guard.expectStatus(404, 409, 422);
  const place = { console, page, tessera, workspace };
  const { lead, grace } = await people(place);
  await become(place, lead);
  await console.open(`/workspaces/${workspace}/settings`);
  await page.getByRole("link", { name: "Invite people" }).click();
  await expect(console.heading).toHaveText("Members");
  await invite(place, "nobody");
  await expect(console.alert).toContainText("E-mail address");
  await expect(page.getByLabel("E-mail address")).toHaveAttribute("aria-invalid", "true");
  await expect(page.getByLabel("E-mail address")).toHaveValue("nobody");
  await invite(place, grace.email, "Viewer");
  await expect(page.getByText(`${grace.email} was invited.`)).toBeVisible();
  await expect(open(page).getByRole("row", { name: grace.email })).toContainText("Viewer");
  await expect(page.getByRole("table", { name: "Members of" })).not.toContainText(grace.email);

  await become(place, grace);
  await expect(page.getByText("You have an invitation to a workspace.")).toBeVisible();
  expect((await page.goto(`/workspaces/${workspace}`))!.status()).toBe(404);
  await console.open("/workspaces");
  await page.getByRole("main").getByRole("link", { name: "Invitations" }).click();
  await expect(console.heading).toHaveText("Invitations");
  await expect(page.getByRole("listitem").filter({ hasText: lead.email })).toContainText("Viewer");
  await page.getByRole("button", { name: /^Accept/ }).click();
  await expect(page.getByText(/now a member of/)).toBeVisible();
  expect(new URL(page.url()).pathname).toBe(`/workspaces/${workspace}`);
  await page.goto("/invitations");
  await expect(page.getByRole("main")).toContainText("No open invitations");

  await become(place, lead);
  await page.goto(members(workspace));
  await expect(page.getByRole("table", { name: "Members of" })).toContainText(grace.email);
  await expect(open(page)).toHaveCount(0);
  await invite(place, grace.email);
  await expect(console.alert).toContainText("is already a member");
});

test("a declined invitation still looks open to the workspace, which can revoke it", async ({
  console, page, guard, tessera, workspace,
}) => {
  guard.expectStatus(403, 404);
  const place = { console, page, tessera, workspace };
  const { lead, grace } = await people(place);
  await become(place, lead);
  await invite(place, grace.email);
  await invite(place, `unknown@${workspace}.example`);
  await expect(open(page).getByRole("row")).toHaveCount(3);

  await become(place, grace);
  await page.goto("/invitations");
  await page.getByRole("button", { name: /^Decline/ }).click();
  await expect(page.getByText("The invitation was declined.")).toBeVisible();
  await expect(page.getByRole("main")).toContainText("No open invitations");
  expect((await page.goto(members(workspace)))!.status()).toBe(404);

  await become(place, lead);
  await page.goto(members(workspace));
  await expect(open(page).getByRole("row")).toHaveCount(3);
  await page.getByRole("button", { name: `Revoke the invitation of ${grace.email}` }).click();
  await expect(page.getByText("The invitation was revoked.")).toBeVisible();
  await expect(open(page).getByRole("row")).toHaveCount(2);
  await expect(open(page)).not.toContainText(grace.email);
});

test("the pages look good", async ({ console, page, guard, tessera, workspace }) => {
  test.slow();
  guard.expectStatus(422);
  const place = { console, page, tessera, workspace };
  const { lead, grace } = await people(place);
  await become(place, lead);
  await invite(place, grace.email);
  await expectGoodLooks(console, "members-invitations", async () => {
    await page.goto(members(workspace));
    await expect(open(page)).toBeVisible();
  });
  await expectGoodLooks(console, "members-wrong", async () => {
    await invite(place, "nobody");
    await expect(console.alert).toBeVisible();
  });
  await become(place, grace);
  await expectGoodLooks(console, "workspaces-invited", () => console.open("/workspaces"));
  await expectGoodLooks(console, "invitations", async () => {
    await page.goto("/invitations");
    await expect(page.getByRole("button", { name: /^Accept/ })).toBeVisible();
  });
});
