#!/bin/bash
# The SDK's calls for API tokens, made with curl: create, list, delete.
set -eu
call() { curl --silent --show-error --fail-with-body --noproxy '*' -H "rime-api-key: $API_KEY" "$@"; echo; }
call "$CLUSTER_URL/v1/users/api-tokens" -H 'Content-Type: application/json' \
  -d '{"name": "ci", "tokenType": "TOKEN_TYPE_USER", "expiryDays": 180}'
call "$CLUSTER_URL/v1/users/api-tokens?pageSize=100"
call -X DELETE "$CLUSTER_URL/v1/users/api-tokens/$TOKEN_ID"
