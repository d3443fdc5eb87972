// The API behind the gateway. It answers every call under /api/ with what it received.
//
// It doesn't check tokens: every request that reaches it passed the gateway. `calls` counts these
// requests for the tests.
import { createServer } from "node:http";

let calls = 0;

const server = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const answer = (status, body) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(body));
    };
    if (request.url === "/calls") return answer(200, { calls });
    calls += 1;
    const body = Buffer.concat(chunks).toString("utf8");
    // rawHeaders keeps duplicates apart; a spoofed second header must not hide.
    const headers = [];
    for (let index = 0; index < request.rawHeaders.length; index += 2) {
      headers.push([request.rawHeaders[index].toLowerCase(), request.rawHeaders[index + 1]]);
    }
    const heard = { method: request.method, url: request.url, headers, body };
    if (request.method !== "POST" || request.url.split("?")[0] !== "/api/run") return answer(200, heard);
    let river;
    try {
      river = JSON.parse(body).river_id;
    } catch {
      return answer(400, { error: "the body is not JSON" });
    }
    answer(200, { river_id: river, run_id: `run-${calls}`, status: "pending", ...heard });
  });
});

server.listen(Number(process.argv[2] ?? 0), "127.0.0.1", () => {
  console.log(`listening on ${server.address().port}`);
});
