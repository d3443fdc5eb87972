// Starts the console. The page works as plain HTML until this has succeeded. It stays plain HTML if
// this fails: in an old browser, without WebAssembly, or after a failed download.
const { js, wasm } = document.getElementById("loader").dataset;

try {
  // Both downloads run concurrently. The module gets the WebAssembly from here instead of guessing
  // its address from its own, because every file's name contains the hash of its content.
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
