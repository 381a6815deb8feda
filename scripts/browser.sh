#!/usr/bin/env bash
# Find a Chromium for the page tests, or install Debian's where we may. Never fails: the tests decide what its absence means.
set -u
for name in chromium chromium-browser google-chrome google-chrome-stable; do
  if command -v "$name" >/dev/null; then exit 0; fi
done
[ -e "/Applications/Google Chrome.app" ] && exit 0

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo -n "$@" 2>/dev/null; else return 1; fi; }

if command -v apt-get >/dev/null; then
  echo "Installing Chromium for the page tests …"
  if as_root apt-get update -qq && as_root apt-get install -y -qq --no-install-recommends chromium >/dev/null; then exit 0; fi
fi
echo "No Chromium was found and none could be installed, so the page tests cannot run (sudo apt-get install chromium)."
