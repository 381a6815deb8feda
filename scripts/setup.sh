#!/usr/bin/env bash
# Make the environment: setup.sh VENV [EXTRAS]. Safe to run again; it installs only what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-.venv}
extras=${2:+[$2]}

say() { printf '%s\n' "$*" >&2; }

python=${PYTHON:-}
for candidate in $python python3.13 python3.12 python3.11 python3; do
  if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    python=$candidate
    break
  fi
  python=
done
if [ -z "$python" ]; then
  say "The course needs Python 3.11 or newer, and none was found. On Debian 12: apt-get install python3 python3-venv"
  exit 2
fi

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo -n "$@"; else return 1; fi; }

# Debian leaves `venv` out of its Python; install it where we may, else say how.
if [ ! -x "$venv/bin/python" ]; then
  if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    if ! { command -v apt-get >/dev/null && as_root apt-get update -qq && as_root apt-get install -y -qq python3-venv; }; then
      say "Python's venv module is missing. On Debian: sudo apt-get install python3-venv, then run this again."
      exit 2
    fi
  fi
  say "Making the environment in $venv (a few minutes the first time) …"
  "$python" -m venv "$venv"
fi

# constraints.txt pins everything, torch above all: an unpinned torch can bring gigabytes of GPU libraries with it.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".$extras"
say "The environment is ready: $venv"
