# The lines from `headers` to `requests.post` are copied from the product's document, except the key
# and the URL.
import json, os, sys
import requests

PASTE_API_KEY_here, url = os.environ["API_KEY"], sys.argv[1]

headers = {"rime-api-key": PASTE_API_KEY_here}

# CREATE A PROJECT
body = {
    "name": "new",
    "description": "for rest testing"
}
res = requests.post(url, json=body, headers=headers)

print(json.dumps({"status": res.status_code, "body": res.text}))
