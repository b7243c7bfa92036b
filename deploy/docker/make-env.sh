#!/usr/bin/env bash
# Write the secrets of a Compose installation, all random: .env beside docker-compose.yml, and the
# simulated bank's SSH host key under deploy/docker/secrets/. Neither may be committed. An existing
# installation is left alone: its database knows the old passwords.
set -euo pipefail
cd "$(dirname "$0")/../.."

env_file=.env
key_file=deploy/docker/secrets/bank_host_key

for program in ssh-keygen od base64; do
  command -v "$program" >/dev/null || { echo "make-env: $program is missing: install it" >&2; exit 1; }
done
if [ -e "$env_file" ]; then
  echo "make-env: $env_file exists and is kept. To start anew, delete the data with" >&2
  echo "  docker compose down --volumes && rm $env_file $key_file" >&2
  exit 1
fi

secret() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
key() { head -c 32 /dev/urandom | base64 | tr -d '\n'; }

umask 077
mkdir -p "$(dirname "$key_file")"
rm -f "$key_file" "$key_file.pub"
ssh-keygen -q -t ed25519 -N '' -C tallystick-bank-simulator -f "$key_file"
fingerprint=$(ssh-keygen -lf "$key_file.pub" | cut -d ' ' -f 2)
rm "$key_file.pub"
# The folder keeps others out; inside the container another user than this one reads the file.
chmod 0644 "$key_file"

draft=$(mktemp "$env_file.XXXXXX")
trap 'rm -f "$draft"' EXIT
cat >"$draft" <<END
# Made by deploy/docker/make-env.sh. Secrets of this installation: keep them, share them with nobody.
POSTGRES_ADMIN_PASSWORD=$(secret)
FUNDING_DB_PASSWORD=$(secret)
LEDGER_DB_PASSWORD=$(secret)
PAYOUTS_DB_PASSWORD=$(secret)
RAILS_DB_PASSWORD=$(secret)
DIRECTORY_DB_PASSWORD=$(secret)
PROGRAMS_DB_PASSWORD=$(secret)
KYC_DB_PASSWORD=$(secret)
PORTFOLIO_DB_PASSWORD=$(secret)
GATEWAY_DB_PASSWORD=$(secret)
INTERNAL_KEY=$(key)
ACCESS_TOKEN_KEY=$(key)
DIRECTORY_SEALING_KEY=$(key)
CLAIM_SEALING_KEY=$(key)
DIRECTORY_TOKEN_KEY=$(key)
SEALING_KEY=$(key)
LEDGER_SIGNING_KEY=$(key)
BANK_PASSWORD=$(secret)
BANK_HOST_KEY_FINGERPRINT=$fingerprint

# Yours to change.
FUNDING_SOURCES=cards,invoices,marketplace,bank
LOG_LEVEL=INFO
# Where programs on this machine reach the broker (loopback only).
KAFKA_PORT=9092
# Where the API is on this machine (loopback only).
API_PORT=8000
END
mv "$draft" "$env_file"
echo "Wrote $env_file and $key_file. Next: docker compose up --build --wait"
