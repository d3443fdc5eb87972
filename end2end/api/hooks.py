"""Credentials and serializers with which schemathesis calls Tessera's API.

Run by tools/api.sh, which sets:
  API_URL      the server
  API_SESSION  the cookie of an administrator's session, `name=value`
  API_AS       `token`: requests carry a token with every scope; `session`: requests carry the session
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
# Operations on the request's own token delete or replace it, so each such request gets a new token.
SELF = "/api/v1/self"

_lock = threading.Lock()


@schemathesis.serializer("application/jsonl")
def json_lines(context, value):
    """Serializes a body with one JSON value for each line. A string is such a body; any other value is one line."""
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


def mint():
    """Creates a token with every scope of Tessera's own API and returns its secret."""
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
        # An earlier call has set a policy that forbids this token. Reset the policies.
        for level in ("", "/workspaces/workspace-1"):
            requests.put(f"{URL}/api/v1{level}/policy", headers=SESSION, json={}, timeout=30).raise_for_status()
        reply = ask()
    if not reply.ok:
        raise RuntimeError(f"could not create a token: {reply.status_code} {reply.text}")
    return reply.json()["secret"]


def works(secret):
    headers = {"Authorization": f"Bearer {secret}"}
    return requests.get(f"{URL}{SELF}", headers=headers, timeout=30).status_code == 200


@schemathesis.auth(refresh_interval=1)
class Credential:
    """A token, which is replaced after a call has deleted, disabled or rotated it."""

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
