// Paths that programs interpret differently, and the possible interpretations of a path.

/** The targets of the tricks. The token in these tests may not call any of them. */
const CLOSED = ["run", "rivers/secret"];

/** Returns paths that begin or end like a permitted path, but may lead to `closed`. */
function tricks(closed: string): string[] {
  const up = [
    ...["..", "%2e%2e", "%2E%2e", ".%2e", "%2e.", "..;", "..;x=1", "..%3b", "..%3Bx", "%252e%252e", "%25%32%65%25%32%65"],
    ...["..%00", "..%20", "..%09", "%c0%ae%c0%ae", "%e0%80%ae%e0%80%ae", "%ef%bc%8e%ef%bc%8e", "..\\", "..%5c", "..%5C"],
  ];
  const slashes = ["%2f", "%2F", "%252f", "%255c", "\\", "%5c", "%5C", "%c0%af", "%e0%80%af", "%ef%bc%8f", "%00/", ";/", "#/", "%23/"];
  return [
    ...up.map((dots) => `/api/rivers/${dots}/${closed}`),
    ...slashes.map((slash) => `/api/rivers/..${slash}${closed}`),
    ...slashes.map((slash) => `/api/${closed}${slash}..${slash}..${slash}rivers`),
    `/api/rivers/./../${closed}`,
    `/api/rivers//../${closed}`,
    `/api/rivers//../../${closed}`,
    `/api/rivers/x/../../${closed}`,
    `/api/rivers/../../api/${closed}`,
    `/api/./rivers/../${closed}`,
    `/api/${closed}/../rivers`,
    `/api/${closed}/../../api/rivers`,
    `/api/${closed}/..%2frivers`,
    `/api/${closed}%2f..%2frivers`,
    `/api/${closed}/%2e%2e/rivers`,
    `/api/${closed};/../rivers`,
    `/api/${closed}#/../rivers`,
    `/api/rivers#/../${closed}`,
    `/api/rivers%23/../${closed}`,
    `/api/rivers%3f/../${closed}`,
    `/api/${closed}%3fx=/../rivers`,
    `//api/${closed}`,
    `/api//${closed}`,
    `/./api/${closed}`,
    `/api/.//${closed}`,
    `/\\api/${closed}`,
    `\\api\\${closed}`,
    `http://api.example.com/api/rivers/../${closed}`,
    `http://api.example.com/api/${closed}/..%2frivers`,
    `http://api.example.com//api/${closed}`,
  ];
}

/** Paths that lead elsewhere, or that programs interpret differently. */
const OTHERS = [
  ...["/admin/../api/rivers", "/admin/x/../../api/rivers", "/admin/..%2fapi/rivers", "/admin/..%2fapi%2frivers/1"],
  ...["/api/admin/users/../../rivers", "/api/admin/users/%2e%2e/%2E%2E/rivers/1", "/api/admin/..%2frivers/1"],
  ...["/admin%2f..%2fapi/rivers", "/admin;/../api/rivers", "/admin/..;/api/rivers", "/admin/.%00./api/rivers", "/admin\\..\\api\\rivers"],
  ...["/api/rivers/%01", "/api/rivers/%0d%0aX-Tessera-User:%20evil", "/api/rivers/%7f", "/api/rivers/%zz", "/api/rivers/%", "/api/rivers/%2"],
  ...["/api/rivers/\xe9", "/api/rivers/%e9", "/api/rivers/%c3%28", "/api/rivers/\x01", "/api/rivers/x\x7f", "/api/rivers/..", "/api/rivers/."],
  ...["/api/rivers/...", "/api/rivers/....//run", "/api/rivers/x%3b", "/api/rivers;x", "/api/rivers/x;y=z", "/api/rivers/%u002e%u002e/run"],
];

/** More than forty paths that a gateway must reject, or forward exactly as it matched them. */
export const AMBIGUOUS = [...new Set([...CLOSED.flatMap(tricks), ...OTHERS])];

/** Spellings of `/api/rivers/secret` with other case, slashes, suffixes and encoded letters. */
export const SECRETS = [
  ...["", "/", "//", "/.", "/x", ".json", ".JSON", ".", "..", ".php/x", ";x", ";", "%3b", "%20", "+", "~", ",x", ":x", "::$DATA", "=", "@", "!"],
  ...["'", "(1)", "*", "$", "&x", "?x", "?", "/?x", "#", "#x", "%00", "%00.json", "%0a", "%09", "%2f", "%2F", "%5c", "\\", "%2e", "%2ejson", "%252f"],
].flatMap((suffix) => ["secret", "SECRET", "sEcReT"].map((name) => `/api/rivers/${name}${suffix}`)).concat([
  ...["/api/rivers/%73ecret", "/api/rivers/secre%74", "/api/rivers/%53ECRET", "/api/rivers/%2573ecret", "/api/rivers/%73%65%63%72%65%74"],
  ...["/API/rivers/secret", "/api/RIVERS/secret", "/api//rivers/secret", "/api/rivers//secret", "/api/rivers/./secret", "/api/rivers/x/../secret"],
  ...["/api/rivers/%c5%bfecret", "/api/rivers/\xc5\xbfecret", "/api/rivers/secret%c2%a0", "/api/rivers/secret\xa0", "http://x/api/rivers/SECRET/"],
]);

/** Paths that all programs interpret in the same way. `rivers:read` permits all of them. */
export const PLAIN = [
  ...["/api/rivers", "/api/rivers/", "/api/rivers/7", "/api/rivers/7/", "/api/rivers/7/runs/8", "/api/rivers/a.json", "/api/rivers/.hidden"],
  ...["/api/rivers/..a", "/api/rivers/a..b/c.", "/api/rivers/a%20b", "/api/rivers/ada%40example.com", "/api/rivers/x%3Ay", "/api/rivers/RUN"],
  ...["/api/rivers/a-b_c~d!$&'()*+,=:@", "/api/rivers/secretary", "/api/rivers/secret-2", "/api/rivers/secret_2", "/api/rivers/my-secret"],
  ...["/api/rivers?path=../../run&next=%2e%2e%2frun", "/api/rivers?", "/api/rivers/7?a=//b&c=\\d&e=%00&f=/./", `/api/rivers/${"x".repeat(3_000)}`],
];

/** Returns how programs may interpret a path: unchanged, decoded once or twice, with or without the
 * text after `;`, `#`, `?` and NUL, with `\` as `/`, with dots and slashes resolved, and without
 * regard to case or to a slash or suffix at the end. */
export function meanings(path: string): Set<string> {
  const found = new Set([path]);
  const steps: ((text: string) => string)[] = [
    (text) => text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16))),
    (text) => text.replace(/^(.*?)[#?\0].*$/s, "$1"),
    (text) => text.replace(/;[^/]*/g, ""),
    (text) => text.replaceAll("\\", "/"),
    (text) => text.replace(/\/+/g, "/"),
    (text) => resolve(text),
    (text) => text.toLowerCase(),
    (text) => text.replace(/(.)\/$/, "$1"),
    (text) => text.replace(/([^/.]+)\.[^/]*$/, "$1"),
    (text) => text.trimEnd(),
  ];
  for (const text of found) for (const step of steps) found.add(step(text));
  return found;
}

/** Removes dot segments as RFC 3986 section 5.2.4 describes. */
function resolve(path: string): string {
  const segments: string[] = [];
  const parts = path.split("/");
  for (const [index, part] of parts.entries()) {
    const last = index === parts.length - 1;
    if (part === "..") {
      if (segments.length > 1) segments.pop();
      if (last) segments.push("");
    } else if (part !== ".") segments.push(part);
    else if (last) segments.push("");
  }
  return segments.join("/");
}
