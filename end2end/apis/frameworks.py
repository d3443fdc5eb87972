"""Serves the same API with Flask and FastAPI, including routes that no gateway names. Prints the two ports.

Each response names the handler that the request reached.
"""

import socket
import threading

import uvicorn
from fastapi import FastAPI
from flask import Flask
from werkzeug.serving import make_server

ROUTES = {
    "rivers": ("GET", "/api/rivers"),
    "secret": ("GET", "/api/rivers/secret"),
    "river": ("GET", "/api/rivers/{name}"),
    "run": ("POST", "/api/run"),
    "admin": ("GET", "/admin/{rest:path}"),
    "administration": ("GET", "/api/admin/{rest:path}"),
}

flask = Flask("flask")
flask.url_map.strict_slashes = False
fast = FastAPI()


def handler(name):
    return lambda **_: {"handler": name}


def fast_handler(name):
    async def answer():
        return {"handler": name}

    return answer


for name, (method, path) in ROUTES.items():
    rule = path.replace("{rest:path}", "<path:rest>").replace("{name}", "<name>")
    flask.add_url_rule(rule, name, handler(name), methods=[method])
    fast.add_api_route(path, fast_handler(name), methods=[method])

server = make_server("127.0.0.1", 0, flask, threaded=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
listener = socket.create_server(("127.0.0.1", 0))
print(f"listening on {server.port} and {listener.getsockname()[1]}", flush=True)
uvicorn.Server(uvicorn.Config(fast, log_level="warning")).run(sockets=[listener])
