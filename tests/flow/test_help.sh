#!/bin/sh
# Every command, every group of commands and every command of the product's plugins explains itself: what it is used
# like, each option of its usage line, how it ends; and a word that is spelt almost right is told. Needs CVMHOST_BUILD.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=$CVMHOST_BUILD
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
export CVMHOST_HOME="$top/home" CVMHOST_INSTALLED='' PATH="$build/host:$PATH"
mkdir -p "$CVMHOST_HOME" && cp -R manifests "$CVMHOST_HOME/"

faults=0
fault() { printf '%s\n' "$*"; faults=$((faults + 1)); }
# says PATTERN: $top/text has a line that it matches.
says() { grep -qE -- "$1" "$top/text" || fault "cvmhost $command --help does not say: $1"; }

# helps COMMAND: `--help` and `help` of it say the same, and nothing on standard error.
helps()
{
    command=$1
    # shellcheck disable=SC2086 # words
    cvmhost $command --help >"$top/text" 2>"$top/errors" || fault "cvmhost $command --help ends with $?"
    [ ! -s "$top/errors" ] || fault "cvmhost $command --help complains: $(cat "$top/errors")"
    # shellcheck disable=SC2086
    cvmhost help $command >"$top/same" 2>&1 || fault "cvmhost help $command ends with $?"
    cmp -s "$top/text" "$top/same" || fault "cvmhost help $command says something else than --help"
}

# ---- commands ----

cvmhost help >"$top/all"
sed -n 's/^  \([a-z]*\( [a-z][a-z_-]*\)*\)  .*/\1/p' "$top/all" >"$top/commands"
sed -n '/^Commands of the plugins/,$s/^  \([a-z]*\( [a-z][a-z_-]*\)*\)  .*/\1/p' "$top/all" >"$top/of-plugins"
[ "$(wc -l <"$top/commands")" -gt 40 ] || fault 'cvmhost help lists too few commands'
[ "$(wc -l <"$top/of-plugins")" -gt 10 ] || fault 'cvmhost help lists too few commands of plugins'
while read -r words; do
    helps "$words"
    says "^usage: cvmhost $words( |\$)"
    says '^ *(E|e)xit status: 0 '
    [ "$(sed -n 3p "$top/text" | wc -w)" -gt 0 ] || [ "$words" = serve ] || fault "cvmhost $words --help has no sentence"
    for option in $(head -n 1 "$top/text" | grep -oE -- '-(-[a-z-]+|n)\b' | sort -u); do
        says "^  $option "
    done
done <"$top/commands"
while read -r words; do
    helps "$words"
    says '^Example:'
    says '^Answered by [a-z_.]+, operation [a-z_]+\.$'
    for option in --file --parallel --key --trace --timeout --output; do says "$option"; done
done <"$top/of-plugins"

# ---- groups ----

sed -n 's/^\([a-z]*\) .*/\1/p' "$top/commands" | sort -u >"$top/groups"
[ "$(wc -l <"$top/groups")" -gt 8 ] || fault 'there are too few groups'
while read -r word; do
    helps "$word"
    ! grep -qx "$word" "$top/commands" || continue # a command, too
    says "^usage: cvmhost $word COMMAND"
    grep "^$word " "$top/commands" >"$top/below"
    while read -r below; do says "^  $below  "; done <"$top/below"
    cvmhost "$word" >/dev/null 2>"$top/errors"
    [ $? = 2 ] || fault "cvmhost $word does not end with 2"
    grep -q "$(head -n 1 "$top/below")" "$top/errors" || fault "cvmhost $word does not show what there is"
done <"$top/groups"

# ---- what an operation says of its request ----

cat >"$CVMHOST_HOME/manifests/shop.json" <<'JSON'
{ "manifest": 1, "name": "shop", "version": "1.0.0", "abi": "1.0", "components": [
  { "id": "shop.till", "kind": "agent", "operations": [
    { "type": "order", "description": "Takes it down", "request": { "type": "object", "required": ["name", "to_whom"], "properties": {
        "name": { "type": "string", "pattern": "^[A-Z]-[0-9]+$", "title": "an order number such as A-17" },
        "count": { "type": "integer", "minimum": 1, "maximum": 100, "default": 5, "description": "how many" },
        "size": { "enum": ["small", "very large"] }, "to_whom": { "type": "string", "examples": ["Ada Obi"] },
        "tags": { "type": "array", "maxItems": 3, "items": { "type": "string" } } } },
      "expose": { "cli": "shop order", "help": "Order a thing", "args": ["name", "size?"], "rest": "PUT /orders/{name}", "permission": "sell" } } ] } ] }
JSON
helps 'shop order'
says '^usage: cvmhost shop order NAME \[SIZE\] --to-whom VALUE \[OPTIONS\]$'
says '^  NAME +\(string, an order number such as A-17\)$'
says '^  SIZE +\(small\|very large\)$'
says '^  --count +how many \(integer, 1 to 100, default 5\)$'
says '^  --to-whom +\(string, required\)$'
says '^  --tags +\(array, at most 3 of them\)$'
says "^  cvmhost shop order A-17 --to-whom 'Ada Obi'\$"
says '^The same over HTTP: PUT /orders/\{name\} \(permission "sell"\)$'

# ---- words spelt wrong ----

# misspelt 'SENTENCE' WORDS...: ends with 2 and says so.
misspelt()
{
    sentence=$1
    shift
    cvmhost "$@" >"$top/text" 2>"$top/errors"
    [ $? = 2 ] || fault "cvmhost $* does not end with 2"
    grep -qF "$sentence" "$top/errors" || fault "cvmhost $*: no \"$sentence\" in: $(cat "$top/errors")"
}
misspelt 'did you mean "shop order"' shop ordr
misspelt 'did you mean "plugin list"' plugn list
misspelt 'did you mean "metrics"' metrcs
misspelt 'did you mean "buy airtime"' buy airtme MTN 08031234567 100
misspelt 'there is no command "quetzalcoatl"' quetzalcoatl --help
misspelt 'did you mean --count' shop order A-1 --cuont 5

[ $faults = 0 ] || { printf '%s\n' "$faults differences"; exit 1; }
