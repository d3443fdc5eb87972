// Starts the console. The page works as plain HTML until this has succeeded, and goes on as such if
// it does not: an old browser, WebAssembly switched off, or a download that broke.
const { js, wasm } = document.getElementById("loader").dataset;

try {
  // Both downloads run at once. The module takes the WebAssembly from here rather than from an
  // address that it guesses by its own, because every file's name holds the hash of its content.
  const binary = fetch(wasm, { credentials: "same-origin" });
  const [{ default: init, hydrate }, response] = await Promise.all([import(js), binary]);
  if (!response.ok) throw new Error(`${wasm}: status ${response.status}`);
  await init({ module_or_path: response });
  hydrate();
  document.documentElement.dataset.hydrated = "";
} catch (error) {
  console.warn("The console continues in basic mode.", error);
  document.getElementById("basic-mode-note")?.removeAttribute("hidden");
}
