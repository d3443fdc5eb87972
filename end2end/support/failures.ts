// Reports the failed tests with step and reason at the end of a run, because the output is long.
import type { FullConfig, Reporter, Suite, TestCase, TestResult, TestStep } from "@playwright/test/reporter";

/** The number of lines shown of each error. */
const LINES = 6;
const COLOUR = /\u001b\[[0-9;]*m/g;

/** Returns the titles of the steps that lead to the first failed step. */
function steps(result: { steps: TestStep[] }): string[] {
  const failed = result.steps.find((step) => step.error);
  return failed ? [failed.title, ...steps(failed)] : [];
}

class Failures implements Reporter {
  private all: Suite | undefined;

  onBegin(_: FullConfig, all: Suite): void {
    this.all = all;
  }

  onEnd(): void {
    const failed = this.all?.allTests().filter((test) => test.outcome() === "unexpected") ?? [];
    for (const test of failed) this.print(test, test.results.at(-1));
  }

  private print(test: TestCase, result: TestResult | undefined): void {
    const message = (result?.error?.message ?? "no message").replace(COLOUR, "");
    const lines = message.split("\n").filter((line) => line.trim() !== "").slice(0, LINES);
    const [, project, ...titles] = test.titlePath();
    process.stdout.write(`\nFAILED [${project}] ${titles.join(" › ")}\n`);
    for (const step of result ? steps(result) : []) process.stdout.write(`  at: ${step}\n`);
    for (const line of lines) process.stdout.write(`  ${line}\n`);
  }

  printsToStdio(): boolean {
    return true;
  }
}

export default Failures;
