"""What schemathesis needs to know to call Tessera's API.

Run by tools/api.sh, which sets:
  API_URL      the server
  API_SESSION  the cookie of an administrator's session, `name=value`
  API_AS       `token`: calls present a token of every scope; `session`: they carry the session
"""

import json
import os
import threading
import uuid

import requests
import schemathesis

URL = os.environ["API_URL"]
SESSION = {"Cookie": os.environ["API_SESSION"], "Sec-Fetch-Site": "same-origin"}
AS_SESSION = os.environ.get("API_AS") == "session"
# Operations on the presented token itself end or replace it: they get one of their own.
SELF = "/api/v1/self"

_lock = threading.Lock()


@schemathesis.serializer("application/jsonl")
def json_lines(context, value):
    """A body of JSON values, one a line. What fits the description is a text; anything else is one line."""
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


def mint():
    """A token that holds every scope of Tessera's own API."""
    audiences = requests.get(f"{URL}/api/v1/audiences", headers=SESSION, timeout=30).json()
    own = next(a for a in audiences["items"] if a["audience"] == "tessera")
    scopes = [scope["name"] for group in own["groups"] for scope in group["scopes"]]

    def ask():
        return requests.post(
            f"{URL}/api/v1/workspaces/workspace-1/tokens",
            headers=SESSION,
            json={"name": f"fuzz {uuid.uuid4()}", "audiences": ["tessera"], "scopes": scopes},
            timeout=30,
        )

    reply = ask()
    if not reply.ok:
        # A call before this one has set rules that no such token fits.
        for level in ("", "/workspaces/workspace-1"):
            requests.put(f"{URL}/api/v1{level}/policy", headers=SESSION, json={}, timeout=30).raise_for_status()
        reply = ask()
    if not reply.ok:
        raise RuntimeError(f"no token could be made: {reply.status_code} {reply.text}")
    return reply.json()["secret"]


def works(secret):
    headers = {"Authorization": f"Bearer {secret}"}
    return requests.get(f"{URL}{SELF}", headers=headers, timeout=30).status_code == 200


@schemathesis.auth(refresh_interval=1)
class Credential:
    """A token, replaced when a call deleted, disabled or rotated it."""

    secret = None

    def get(self, case, context):
        if AS_SESSION:
            return None
        with _lock:
            if Credential.secret is None or not works(Credential.secret):
                Credential.secret = mint()
            return Credential.secret

    def set(self, case, data, context):
        case.headers = case.headers or {}
        if case.operation.path.startswith(SELF):
            case.headers["Authorization"] = f"Bearer {mint()}"
        elif AS_SESSION:
            case.headers.update(SESSION)
        else:
            case.headers["Authorization"] = f"Bearer {data}"
