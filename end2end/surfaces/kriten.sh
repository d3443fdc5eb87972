#!/usr/bin/env bash
# Takes a token through its lifecycle as Kriten's clients do, with curl only.
#
#     KRITEN_URL=… KRITEN_USERNAME=… KRITEN_PASSWORD=… kriten.sh
#
# Prints one line for each call: its name, the status and the response.
set -euo pipefail

call() {
    local name=$1 answer
    shift
    answer=$(curl --silent --show-error --max-time 20 --noproxy '*' --write-out '\n%{http_code}' "$@")
    body=${answer%$'\n'*}
    printf '%s\t%s\t%s\n' "$name" "${answer##*$'\n'}" "$body"
}

field() {
    sed -E 's/.*"'"$1"'":"([^"]*)".*/\1/' <<<"$body"
}

call login -X POST "$KRITEN_URL/api/v1/login" --header 'Content-Type: application/json' \
    --data '{"username": "'"$KRITEN_USERNAME"'", "password": "'"$KRITEN_PASSWORD"'", "provider": "local"}'
bearer="Authorization: Bearer $(field token)"

# Add API token: the documented request, whose expiry is in the past.
call documented -X POST "$KRITEN_URL/api/v1/api_tokens" --header "$bearer" --data '{
    "description": "My persional API Token",
    "enabled": true,
    "expires": "2024-09-13T13:54:06Z"
}'
key=$(field key) id=$(field id)
call expired --header "Token:$key" -X GET $KRITEN_URL'/api/v1/runners'

# Update API token.
call update -X PATCH "$KRITEN_URL/api/v1/api_tokens/$id" --header "$bearer" --data '{"expires": "0000-01-01T00:00:00Z"}'

# Example using API token with curl command.
call runners --header "Token:$key" -X GET $KRITEN_URL'/api/v1/runners'

# List API tokens.
call own -X GET "$KRITEN_URL/api/v1/api_tokens" --header "Token:$key"
call all -X GET "$KRITEN_URL/api/v1/api_tokens/all" --header "$bearer"

call disable -X PATCH "$KRITEN_URL/api/v1/api_tokens/$id" --header "$bearer" --data '{"enabled": false}'
call disabled --header "Token:$key" -X GET "$KRITEN_URL/api/v1/api_tokens"
call enable -X PATCH "$KRITEN_URL/api/v1/api_tokens/$id" --header "$bearer" --data '{"enabled": true}'

# Delete API token.
call delete -X DELETE "$KRITEN_URL/api/v1/api_tokens/$id" --header "$bearer"
call deleted --header "Token:$key" -X GET "$KRITEN_URL/api/v1/api_tokens"
call refused --header "Token:$key" -X GET $KRITEN_URL'/api/v1/runners'
