#!/usr/bin/env bash
# Prepare .venv from the hashed requirements, unless it is up to date. PYTHON names another interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."

fits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

python=""
for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
    if fits "$candidate"; then python=$candidate; break; fi
done
if [ -z "$python" ]; then
    echo "Blotter needs Python 3.11 or newer: install it, or name one, as in PYTHON=/path/to/python3.12 make install." >&2
    exit 1
fi

stamp=.venv/installed
wanted=$(cat requirements/dev.txt pyproject.toml infra/install.sh | "$python" -c '
import hashlib, sys
print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest(), sys.version.split()[0])')
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && .venv/bin/python -c '' 2>/dev/null && exit 0

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "This Python cannot make environments: install its venv package (Debian: apt-get install python3-venv)." >&2
    exit 1
fi
rm -f "$stamp"
if ! { [ -x .venv/bin/python ] && fits .venv/bin/python; }; then
    rm -rf .venv
    "$python" -m venv .venv
fi
echo "Installing into .venv (once)."
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
PYTHONWARNINGS=ignore .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
echo "$wanted" > "$stamp"
