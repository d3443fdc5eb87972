// Pages rendered as the response to a form are not hydrated. This script enables the Copy and
// show-password buttons on them.
for (const button of document.querySelectorAll("[data-copy]")) {
  const target = document.querySelector(button.dataset.copy);
  const label = button.querySelector(".copy-label");
  const status = button.parentElement.querySelector(".copy-status");
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(target.value ?? target.textContent);
      button.classList.add("is-copied");
      label.textContent = status.textContent = "Copied";
      setTimeout(() => {
        button.classList.remove("is-copied");
        label.textContent = "Copy";
        status.textContent = "";
      }, 3000);
    } catch {
      target.focus?.();
      target.select?.();
      status.textContent = "Press Ctrl+C to copy";
    }
  });
}
for (const button of document.querySelectorAll("[data-shows]")) {
  const input = document.querySelector(button.dataset.shows);
  button.hidden = false;
  button.addEventListener("click", () => {
    const shown = input.type === "password";
    input.type = shown ? "text" : "password";
    button.setAttribute("aria-pressed", shown);
  });
}
document.querySelector("[role=alert][tabindex]")?.focus();
