"""Takes a token through its lifecycle with the generated Python client. Reads the managing token from standard input."""

import sys

from tessera_api import AuthenticatedClient, Client
from tessera_api.api.tokens import create_token, delete_token, list_tokens, show_self, show_token
from tessera_api.api.verification import verify
from tessera_api.models import NewToken, Question

url, secret = sys.argv[1], sys.stdin.readline().strip()
client = AuthenticatedClient(base_url=url, token=secret)

me = show_self.sync(client=client)
assert me.name == "clients", me

made = create_token.sync(
    "workspace-1", client=client, body=NewToken(name="from python", scopes=["rivers:run"])
)
assert made.secret.startswith("tsr_") and made.token.state == "active", made.token
assert show_token.sync(made.token.id, client=client).name == "from python"
page = list_tokens.sync("workspace-1", client=client, q="from python")
assert [token.id for token in page.items] == [made.token.id], page


def code(scope):
    question = Question(token=made.secret, audience="default", scopes=[scope])
    return verify.sync(client=client, body=question).code


assert code("rivers:run") == "VALID"
assert code("rivers:write") == "INSUFFICIENT_SCOPE"
assert delete_token.sync_detailed(made.token.id, client=client).status_code == 204
assert code("rivers:run") == "REVOKED"

refused = show_self.sync_detailed(client=Client(base_url=url))
assert refused.status_code == 401 and refused.parsed.code == "unauthenticated", refused
print("    created, listed, verified and deleted a token")
