// `npm run screenshots` renders docs/screenshot.png for the README with the release binary.
import { defineConfig } from "@playwright/test";

import tests from "./playwright.config.ts";

export default defineConfig({
  ...tests,
  testDir: "screenshots",
  fullyParallel: false,
  workers: 1,
  reporter: "list",
  projects: [{ name: "hydrated", use: { javaScriptEnabled: true } }],
});
