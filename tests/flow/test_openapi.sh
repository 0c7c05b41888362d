#!/bin/sh
# A validator that is not ours accepts the description of the product's routes. It comes from npm: where there is no npm,
# or it cannot be fetched, that is said and the rest of the check (unit/test_openapi) stands alone. Needs CVMHOST_BUILD.
set -u
cd "$(dirname "$0")/../.." || exit 1
cvmhost=$CVMHOST_BUILD/host/cvmhost
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
mkdir -p "$top/home" "$top/check" && cp -R manifests "$top/home/"

CVMHOST_INSTALLED='' "$cvmhost" openapi --home "$top/home" >"$top/check/openapi.json" 2>"$top/errors" || { cat "$top/errors"; exit 1; }
[ ! -s "$top/errors" ] || { cat "$top/errors"; exit 1; }
sed -n 's/.*"rest": *"[A-Z]* \([^"]*\)".*/\1/p' manifests/*.json | sort -u >"$top/paths"
while read -r path; do
    grep -qF "\"$path\":{" "$top/check/openapi.json" || { echo "no $path in the description"; exit 1; }
done <"$top/paths"

command -v npm >/dev/null || { echo 'npm is not installed: no stock validator was asked'; exit 0; }
cd "$top/check" || exit 1
echo '{"private": true}' >package.json
if ! timeout 60 npm install --no-audit --no-fund --loglevel=error @seriousme/openapi-schema-validator@2 >npm.log 2>&1; then
    echo "the validator cannot be fetched, so none was asked: $(tail -n 1 npm.log)"
    exit 0
fi
cat >check.mjs <<'JS'
import { readFileSync } from "node:fs";
import { Validator } from "@seriousme/openapi-schema-validator";
const document = JSON.parse(readFileSync("openapi.json"));
const accepts = async (what) => { const v = new Validator(); const r = await v.validate(what); return [r, v.version]; };
const [result, version] = await accepts(document);
if (!result.valid) { console.error(JSON.stringify(result.errors, null, 1)); process.exit(1); }
if (version !== "3.1") { console.error(`taken for version ${version}`); process.exit(1); }
// It is one that refuses: without this nothing was checked.
delete document.paths["/health"].get.responses["200"].description;
const [broken] = await accepts(document);
if (broken.valid) { console.error("the validator accepts anything"); process.exit(1); }
JS
node check.mjs
