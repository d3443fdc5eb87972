// Drives the console as a user does: finds elements by their roles and accessible names.
import { type Locator, type Page, expect } from "@playwright/test";

/** Values for the form "Add Token". The form's defaults apply to fields that are left out. */
export interface NewToken {
  name: string;
  description?: string;
  scopes: string[];
}

export class Console {
  constructor(
    readonly page: Page,
    readonly scripts: boolean,
    readonly workspace: string,
    readonly origin: string,
  ) {}

  get tokensPath(): string {
    return `/workspaces/${encodeURIComponent(this.workspace)}/settings/tokens`;
  }

  /** Opens a URL and waits until the page is ready for use. */
  async open(path: string): Promise<void> {
    await this.page.goto(path);
    await this.settled();
  }

  /** Waits until the page is hydrated, if JavaScript is enabled. */
  async settled(): Promise<void> {
    if (this.scripts) await expect(this.page.locator("html")).toHaveAttribute("data-hydrated", /.*/);
  }

  /** The page's main heading. */
  get heading(): Locator {
    return this.page.getByRole("heading", { level: 1 });
  }

  /** The dialog over the list, or the page that replaces it. */
  get panel(): Locator {
    return this.page.getByRole("dialog");
  }

  /** The error message on the page. */
  get alert(): Locator {
    return this.page.getByRole("main").getByRole("alert");
  }

  async signIn(email: string, password: string): Promise<void> {
    await this.page.getByLabel("E-mail").fill(email);
    await this.page.getByLabel("Password").fill(password);
    await this.page.getByRole("button", { name: "Sign in" }).click();
  }

  async signOut(name: string): Promise<void> {
    await this.page.getByLabel(`Account: ${name}`).click();
    await this.page.getByRole("button", { name: "Sign out" }).click();
  }

  /** Opens the list of tokens by its URL. */
  async openTokens(query = ""): Promise<void> {
    await this.open(`${this.tokensPath}${query}`);
    await expect(this.heading).toHaveText("API Tokens");
  }

  /** The table row of a token. */
  row(name: string): Locator {
    return this.page.getByRole("row").filter({ has: this.page.getByRole("rowheader", { name }) });
  }

  async openAddToken(): Promise<void> {
    await this.page.getByRole("link", { name: "Add Token" }).first().click();
    await expect(this.panel.getByRole("heading", { name: "Add Token" })).toBeVisible();
    await this.settled();
  }

  /** Returns the checkbox of a scope. Expands the scope's group if it is collapsed. */
  async scope(name: string): Promise<Locator> {
    const box = this.panel.getByRole("checkbox", { name, exact: true, includeHidden: true });
    const group = this.panel.locator("details").filter({ has: this.page.locator(`[value$="/${name}"]`) });
    if (!(await box.isVisible())) await group.locator("summary").click();
    await expect(box).toBeVisible();
    return box;
  }

  async fillToken(token: NewToken): Promise<void> {
    await this.panel.getByLabel("Name", { exact: true }).fill(token.name);
    if (token.description !== undefined) {
      await this.panel.getByLabel(/^Description/).fill(token.description);
    }
    for (const scope of token.scopes) await (await this.scope(scope)).check();
  }

  async pressCreate(): Promise<void> {
    await this.panel.getByRole("button", { name: /^Create/ }).click();
  }

  /** The field that shows the secret of a new token once. */
  get secret(): Locator {
    return this.panel.getByRole("textbox", { name: "Token", exact: true });
  }

  /** Adds a token, starting from the list, and returns its secret. Leaves the dialog with the
   * secret open. */
  async addToken(token: NewToken): Promise<string> {
    await this.openAddToken();
    await this.fillToken(token);
    await this.pressCreate();
    await expect(this.secret).toHaveValue(/^tsr_[0-9A-Za-z]{36}$/);
    return this.secret.inputValue();
  }

  /** Copies the token with the Copy button and waits for the confirmation. */
  async copyToken(): Promise<void> {
    await this.panel.getByRole("button", { name: "Copy token" }).click();
    await expect(this.panel.getByText(/^Copied/).first()).toBeVisible();
  }

  get done(): Locator {
    return this.panel.getByRole("link", { name: "Done" }).or(this.panel.getByRole("button", { name: "Done" }));
  }

  /** Closes the dialog with a new token. Copies the token first, because the dialog asks for
   * confirmation otherwise. */
  async pressDone(): Promise<void> {
    if (this.scripts) await this.copyToken();
    await this.done.click();
    await expect(this.panel).toBeHidden();
    await expect(this.heading).toHaveText(/^(Your )?API tokens$/i);
  }

  async openView(name: string): Promise<void> {
    await this.row(name).getByRole("link", { name: "View" }).click();
    await expect(this.panel.getByRole("heading", { level: 1, name })).toBeVisible();
    await this.settled();
  }

  /** Opens the delete dialog with the trash can at the right of a row. */
  async openDelete(name: string): Promise<void> {
    await this.row(name).getByRole("link", { name: /^Delete/ }).click();
    await expect(this.panel.getByRole("heading", { name: `Delete “${name}”?` })).toBeVisible();
    await this.settled();
  }

  /** Chooses an item from the menu of a row. */
  async more(name: string, what: string): Promise<void> {
    await this.row(name).getByRole("button", { name: `More for ${name}` }).click();
    const item = this.page.locator(".row-menu:popover-open").getByText(what, { exact: true });
    await item.click();
    await this.settled();
  }

  async confirmDelete(): Promise<void> {
    await this.panel.getByRole("button", { name: /^Delete/ }).click();
    await expect(this.panel).toBeHidden();
  }

  /** The mark of a granted scope in a read-only scope tree. */
  granted(scope: string): Locator {
    const named = this.page.getByText(scope, { exact: true });
    // The innermost item: the group around it is a list item, too.
    return this.panel.getByRole("listitem").filter({ has: named }).last().getByText(/^granted/);
  }
}
