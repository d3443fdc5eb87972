"""A WSGI application that returns the environment of each request as JSON."""

import json


def application(environ, start_response):
    told = {name: value for name, value in environ.items() if isinstance(value, str)}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(told).encode()]
