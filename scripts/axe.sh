#!/usr/bin/env bash
# Fetch axe-core, with which the pages' accessibility is checked, into the folder given. From npm, and never committed.
# Never fails: the tests decide what its absence means. Why it is absent is left for them in the file "absent": in CI
# they fail where npm's registry answers.
set -u
folder=$1
version=4.14.1
[ -e "$folder/$version.js" ] && exit 0
mkdir -p "$folder" && cd "$folder" || exit 0
rm -f absent

absent() { echo "$1" | tee absent; exit 0; }

command -v npm >/dev/null || absent "There is no npm, so the pages are not looked at by axe-core."
if said=$(npm pack --silent --fetch-retries=1 "axe-core@$version" --pack-destination . 2>&1); then
  tar -xzOf ./*.tgz package/axe.min.js >axe.part && mv axe.part "$version.js"
  rm -f ./*.tgz
  [ -e "$version.js" ] || absent "npm's registry answers, but its axe-core@$version has no axe.min.js."
elif npm ping --fetch-retries=0 >/dev/null 2>&1; then
  absent "npm's registry answers, but axe-core@$version could not be fetched: $(echo "$said" | tail -n 1)"
else
  absent "npm's registry does not answer, so the pages are not looked at by axe-core."
fi
