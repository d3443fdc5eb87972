// The page at /api/docs: reads /api/openapi.json, lists the operations, and sends requests.
// Text is written to the page only through textContent. The token stays in its input field.

const theme = document.cookie.match(/(?:^|;\s*)theme=(light|dark)(?:;|$)/);
if (theme) document.documentElement.dataset.theme = theme[1];

const make = (tag, properties = {}, ...children) => {
  const { dataset, attributes, ...rest } = properties;
  const element = Object.assign(document.createElement(tag), rest);
  for (const [name, value] of Object.entries(attributes ?? {})) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null));
  return element;
};
const byId = (id) => document.getElementById(id);
const pretty = (value) => JSON.stringify(value, null, 2);

let api;

/** Resolves a reference within the document. */
const resolve = (value) =>
  value?.$ref ? value.$ref.slice(2).split("/").reduce((at, key) => at?.[key], api) : value;

/** Returns the example of a schema, or builds one from the examples of its parts. */
const example = (schema, depth = 0) => {
  const shape = resolve(schema);
  if (!shape || depth > 6) return null;
  if (shape.example !== undefined) return shape.example;
  if (shape.examples?.length) return shape.examples[0];
  const variant = (shape.oneOf ?? shape.anyOf)?.find((one) => one.type !== "null");
  if (variant) return example(variant, depth + 1);
  if (shape.allOf) return Object.assign({}, ...shape.allOf.map((one) => example(one, depth + 1)));
  if (shape.enum) return shape.enum[0];
  const type = Array.isArray(shape.type) ? shape.type.find((one) => one !== "null") : shape.type;
  if (type === "object") {
    const entries = Object.entries(shape.properties ?? {});
    return Object.fromEntries(entries.map(([name, part]) => [name, example(part, depth + 1)]));
  }
  if (type === "array") return [example(shape.items, depth + 1)];
  return { string: "text", integer: 1, number: 1, boolean: true }[type] ?? null;
};

/** Returns a paragraph that renders text between backticks as code. */
const prose = (text) => {
  const paragraph = make("p");
  (text ?? "").split("`").forEach((part, index) => {
    paragraph.append(index % 2 ? make("code", { textContent: part }) : part);
  });
  return paragraph;
};

const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** Returns the request that the form describes. */
const requestOf = (operation, form) => {
  let path = operation.path;
  const query = new URLSearchParams();
  const headers = {};
  for (const { name, in: place, schema } of operation.parameters) {
    const value = form.elements[`${place}:${name}`].value.trim();
    if (place === "path") path = path.replace(`{${name}}`, encodeURIComponent(value));
    else if (value && place === "header") headers[name] = value;
    else if (value && resolve(schema)?.type?.includes("array")) {
      value.split(/\s+/).forEach((one) => query.append(name, one));
    } else if (value) query.append(name, value);
  }
  const body = form.elements.body?.value;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const suffix = query.size ? `?${query}` : "";
  return { url: path + suffix, method: operation.method, headers, body };
};

/** Returns the request as a curl command. Uses a variable for the token, so that copied commands do
 * not contain it. */
const curl = ({ url, method, headers, body }) => {
  const lines = [`curl -X ${method} ${quote(location.origin + url)}`];
  lines.push(`-H "Authorization: Bearer $TESSERA_TOKEN"`);
  for (const [name, value] of Object.entries(headers)) lines.push(`-H ${quote(`${name}: ${value}`)}`);
  if (body !== undefined) lines.push(`-d ${quote(body)}`);
  return lines.join(" \\\n  ");
};

const send = async (request) => {
  const token = byId("token").value.trim();
  const headers = { ...request.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  const { url, method, body } = request;
  const answer = await fetch(url, { method, headers, body, cache: "no-store", redirect: "error" });
  const text = await answer.text();
  const isJson = /[/+]json/.test(answer.headers.get("content-type") ?? "");
  return { answer, text: isJson && text ? pretty(JSON.parse(text)) : text };
};

const show = (output, { answer, text }) => {
  const kind = answer.ok ? "good" : "bad";
  const headers = make("dl");
  for (const [name, value] of answer.headers) {
    headers.append(make("dt", { textContent: name }), make("dd", { textContent: value }));
  }
  output.replaceChildren(
    make("p", { className: `status ${kind}`, textContent: `${answer.status} ${answer.statusText}` }),
    text ? make("pre", { textContent: text, tabIndex: 0, attributes: { "aria-label": "Response body", role: "group" } }) : make("p", { className: "note", textContent: "The response body is empty." }),
    make("details", {}, make("summary", { textContent: "Headers" }), make("div", { className: "inside" }, headers)),
  );
};

const field = (id, name, label, note, control) => {
  control.id = id;
  control.name = name;
  if (note) control.setAttribute("aria-describedby", `${id}-note`);
  const description = note ? prose(note) : null;
  if (description) Object.assign(description, { id: `${id}-note`, className: "note" });
  return [make("label", { htmlFor: id, textContent: label }), control, description];
};

const tryForm = (operation) => {
  const form = make("form", { autocomplete: "off", noValidate: false });
  for (const parameter of operation.parameters) {
    const { name, in: place, required, description } = parameter;
    const input = make("input", { required: Boolean(required), spellcheck: false });
    if (required) input.value = parameter.example ?? "";
    else if (parameter.example !== undefined) input.placeholder = [parameter.example].flat().join(" ");
    const label = `${name}${required ? " (required)" : ""}${place === "header" ? " (header)" : ""}`;
    form.append(...field(`${operation.id}-${name}`, `${place}:${name}`, label, description, input).filter(Boolean));
  }
  const content = resolve(operation.requestBody)?.content?.["application/json"];
  if (content) {
    const area = make("textarea", { value: pretty(example(content.schema)), spellcheck: false, required: true });
    form.append(...field(`${operation.id}-body`, "body", "Body (JSON)", "", area).filter(Boolean));
  }
  const line = make("pre", { tabIndex: 0, attributes: { "aria-label": "The request as a curl command", role: "group" } });
  const update = () => { line.textContent = curl(requestOf(operation, form)); };
  const button = make("button", { type: "submit", textContent: "Send" });
  const output = make("div", { attributes: { role: "status" } });
  form.addEventListener("input", update);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    try {
      show(output, await send(requestOf(operation, form)));
    } catch {
      output.replaceChildren(make("p", { className: "status bad", textContent: "The server did not respond. Check that it is running and that you are online." }));
    }
    button.removeAttribute("aria-disabled");
  });
  update();
  form.append(make("h3", { textContent: "curl" }), line, button);
  return [form, output];
};

const answers = (operation) => {
  const list = make("dl");
  for (const [status, reference] of Object.entries(operation.responses ?? {})) {
    const text = prose(resolve(reference)?.description);
    list.append(make("dt", { textContent: status }), make("dd", {}, text));
  }
  return list;
};

const section = (operation) => {
  const success = Object.entries(operation.responses ?? {}).find(([status]) => status < "300");
  const content = resolve(success?.[1])?.content?.["application/json"];
  const inside = make("div", { className: "inside" }, prose(operation.description));
  inside.append(make("h3", { textContent: "Try it" }), ...tryForm(operation));
  if (content) {
    const sample = pretty(content.example ?? example(content.schema));
    inside.append(make("h3", { textContent: `Example response: ${success[0]}` }));
    inside.append(make("pre", { textContent: sample, tabIndex: 0, attributes: { "aria-label": `Example response: ${success[0]}`, role: "group" } }));
  }
  inside.append(make("h3", { textContent: "Responses" }), answers(operation));
  const title = make("summary", {}, make("span", { className: "method", textContent: operation.method }));
  title.append(" ", make("code", { textContent: operation.path }), ` ${operation.summary ?? ""}`);
  return make("details", { id: operation.id }, title, inside);
};

const operationsOf = (tag) => {
  const found = [];
  for (const [path, item] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      if (!operation.tags?.includes(tag)) continue;
      const parameters = (operation.parameters ?? []).map(resolve);
      found.push({ ...operation, parameters, path, method: method.toUpperCase(), id: operation.operationId });
    }
  }
  return found;
};

const openTarget = () => {
  const target = location.hash && byId(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    target.querySelector("summary").focus();
  }
};

const start = async () => {
  const answer = await fetch("/api/openapi.json");
  if (!answer.ok) throw new Error(answer.status);
  api = await answer.json();
  const main = byId("main");
  const contents = byId("contents");
  for (const { name, description } of api.tags) {
    const operations = operationsOf(name);
    const links = operations.map(({ id, summary }) =>
      make("li", {}, make("a", { href: `#${id}`, textContent: summary })));
    contents.append(make("p", { textContent: name }), make("ul", {}, ...links));
    main.append(make("h2", { textContent: name }), prose(description), ...operations.map(section));
  }
  byId("loading").remove();
  openTarget();
};

byId("credential").addEventListener("submit", (event) => event.preventDefault());
addEventListener("hashchange", openTarget);
start().catch(() => {
  byId("loading").textContent = "Couldn't load the API description. Reload the page to try again.";
});
