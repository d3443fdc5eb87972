"""Logs in with `requests`, creates a token, calls the API with it and deletes it.

Reads KRITEN_URL, KRITEN_USERNAME and KRITEN_PASSWORD from the environment. Prints the responses as JSON.
"""

import json
import os

import requests

url = os.environ["KRITEN_URL"]
session = requests.Session()
session.trust_env = False

login = session.post(
    f"{url}/api/v1/login",
    json={
        "username": os.environ["KRITEN_USERNAME"],
        "password": os.environ["KRITEN_PASSWORD"],
        "provider": "local",
    },
)
bearer = {"Authorization": f"Bearer {login.json()['token']}"}
created = session.post(f"{url}/api/v1/api_tokens", json={}, headers=bearer)
token = created.json()
headers = {"Token": token["key"]}
runners = session.get(f"{url}/api/v1/runners", headers=headers)
# If a request carries both, the token takes precedence over the session.
both = session.get(f"{url}/api/v1/api_tokens", headers=headers | bearer)
deleted = session.delete(f"{url}/api/v1/api_tokens/{token['id']}", headers=headers)
after = session.get(f"{url}/api/v1/api_tokens", headers=headers)

answers = {
    "login": login,
    "created": created,
    "runners": runners,
    "both": both,
    "deleted": deleted,
    "after": after,
}
print(
    json.dumps(
        {
            name: {"status": answer.status_code, "headers": dict(answer.headers), "body": answer.json()}
            for name, answer in answers.items()
        }
    )
)
