#!/usr/bin/env bash
# Passwords and keys of compose.yaml, as files; what is there already stays.
#
#   workers/make_secrets.sh [FOLDER]      default: .secrets beside this script
#
# Only the owner enters the folder; the files are readable, since containers read them as users
# of their own.
set -euo pipefail

folder=${1:-$(cd "$(dirname "$0")" && pwd)/.secrets}
mkdir -p "$folder"
chmod 700 "$folder"

random() { # so many hexadecimal digits
  od -An -N $(($1 / 2)) -tx1 /dev/urandom | tr -d ' \n'
}

keep() { # the content of standard input, unless the file is there
  if [[ ! -s $folder/$1 ]]; then
    cat >"$folder/$1.new"
    chmod 444 "$folder/$1.new"
    mv "$folder/$1.new" "$folder/$1"
  else
    cat >/dev/null
  fi
}

random 32 | keep database.root
random 32 | keep database.password
random 20 | keep objects.access_key
random 40 | keep objects.secret_key
keep objects.s3.json <<JSON
{"identities": [{"name": "fieldbase", "credentials": [{
  "accessKey": "$(cat "$folder/objects.access_key")",
  "secretKey": "$(cat "$folder/objects.secret_key")"
}], "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}
JSON
echo "secrets in $folder: $(find "$folder" -type f | wc -l) files"
