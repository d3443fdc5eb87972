// Watches everything that a browser does in a test and fails the test for what no user should meet:
// console errors, hydration warnings, policy violations, failed requests, requests to others.
import type { BrowserContext, ConsoleMessage, Request, Response } from "@playwright/test";

/** Chromium says this of every answer from 400 on; the answers themselves are checked instead. */
const STATUS_MESSAGE = /^Failed to load resource: the server responded with a status of \d+/;

export class Guard {
  readonly violations: string[] = [];
  /** Every address that was asked for. */
  readonly requested: string[] = [];
  private readonly expected = new Set<number>();
  private offline = false;

  constructor(private readonly origin: string) {}

  /** The test causes an answer with this status on purpose. */
  expectStatus(...statuses: number[]): void {
    for (const status of statuses) this.expected.add(status);
  }

  /** The test cuts the connection on purpose. */
  expectOffline(): void {
    this.offline = true;
  }

  watch(context: BrowserContext): void {
    context.on("console", (message) => this.onConsole(message));
    context.on("weberror", (error) => this.violations.push(`uncaught: ${error.error()}`));
    context.on("request", (request) => this.onRequest(request));
    context.on("requestfailed", (request) => this.onFailure(request));
    context.on("response", (response) => this.onResponse(response));
  }

  private onConsole(message: ConsoleMessage): void {
    if (!["error", "warning", "assert"].includes(message.type())) return;
    const text = message.text();
    if (STATUS_MESSAGE.test(text)) return;
    if (this.offline && /net::ERR_|Failed to fetch/.test(text)) return;
    this.violations.push(`console ${message.type()}: ${text} (${message.location().url})`);
  }

  private onRequest(request: Request): void {
    const url = new URL(request.url());
    this.requested.push(request.url());
    const own = url.origin === this.origin || ["data:", "blob:", "about:"].includes(url.protocol);
    if (!own) this.violations.push(`third-party request: ${request.url()}`);
  }

  private onFailure(request: Request): void {
    const reason = request.failure()?.errorText ?? "unknown";
    // The browser's own doing: a page that is left while something loads aborts it, and the answer
    // to a post is not fetched again without asking.
    if (["net::ERR_ABORTED", "net::ERR_CACHE_MISS"].includes(reason) || this.offline) return;
    this.violations.push(`failed request: ${request.method()} ${request.url()}: ${reason}`);
  }

  private onResponse(response: Response): void {
    const status = response.status();
    if (status < 400 || this.expected.has(status)) return;
    this.violations.push(`answer ${status}: ${response.request().method()} ${response.url()}`);
  }
}
