#!/usr/bin/env bash
# Fetch axe-core, with which the pages' accessibility is checked, into the folder given. From npm, and never committed.
# Never fails: the tests decide what its absence means.
set -u
folder=$1
version=4.14.1
[ -e "$folder/$version.js" ] && exit 0
if ! command -v npm >/dev/null; then
  echo "There is no npm, so the pages are not looked at by axe-core."
  exit 0
fi
mkdir -p "$folder" && cd "$folder" || exit 0
if npm pack --silent "axe-core@$version" --pack-destination . >/dev/null 2>&1; then
  tar -xzOf ./*.tgz package/axe.min.js >axe.part && mv axe.part "$version.js"
  rm -f ./*.tgz
else
  echo "axe-core could not be fetched from npm, so the pages are not looked at by it."
fi
