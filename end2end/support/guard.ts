// Watches the browser during a test. Fails the test for console errors, hydration warnings, policy
// violations, failed requests and requests to other origins.
import type { BrowserContext, ConsoleMessage, Request, Response } from "@playwright/test";

/** Chromium logs this for every response from 400 on. The guard checks the responses instead. */
const STATUS_MESSAGE = /^Failed to load resource: the server responded with a status of \d+/;

export class Guard {
  readonly violations: string[] = [];
  /** The URL of every request. */
  readonly requested: string[] = [];
  private readonly expected = new Set<number>();
  private offline = false;

  constructor(private readonly origin: string) {}

  /** Permits responses with these statuses, which the test causes on purpose. */
  expectStatus(...statuses: number[]): void {
    for (const status of statuses) this.expected.add(status);
  }

  /** Permits network errors, because the test cuts the connection on purpose. */
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
    // The browser itself causes these: it aborts requests when the user leaves a page, and does not
    // repeat a POST without confirmation.
    if (["net::ERR_ABORTED", "net::ERR_CACHE_MISS"].includes(reason) || this.offline) return;
    this.violations.push(`failed request: ${request.method()} ${request.url()}: ${reason}`);
  }

  private onResponse(response: Response): void {
    const status = response.status();
    if (status < 400 || this.expected.has(status)) return;
    this.violations.push(`response ${status}: ${response.request().method()} ${response.url()}`);
  }
}
