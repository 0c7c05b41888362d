#!/bin/bash
# Completion as the shells do it: bash, and zsh and fish where they are installed, from the files of a home without a
# host. Needs CVMHOST_BUILD.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=$CVMHOST_BUILD
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
export CVMHOST_HOME=$top/home CVMHOST_INSTALLED='' PATH="$build/host:$PATH"
mkdir -p "$CVMHOST_HOME" && cp -R manifests "$CVMHOST_HOME/"
# Words with characters that a shell means something by, and a schema with words.
cat >"$CVMHOST_HOME/manifests/shop.json" <<'JSON'
{ "manifest": 1, "name": "shop", "version": "1.0.0", "abi": "1.0", "components": [
  { "id": "shop.till", "kind": "agent", "operations": [
    { "type": "order", "request": { "type": "object", "properties": {
        "size": { "enum": ["small", "very large", "it's"] }, "color": { "enum": ["red", "rose"] }, "wrapped": { "type": "boolean" } } },
      "expose": { "cli": "shop order", "help": "Order: a thing", "args": ["size"] } } ] } ] }
JSON

faults=0
fault() { printf '%s\n' "$*"; faults=$((faults + 1)); }

# bash_offers WORDS...: what bash would offer for the last word, a candidate a line.
bash_offers()
{
    bash --norc -c 'source <(cvmhost completion bash); spec=$(complete -p cvmhost)
        [ "$spec" = "complete -F _cvmhost cvmhost" ] || echo "$spec"
        COMP_WORDS=(cvmhost "$@"); COMP_CWORD=$#; _cvmhost; [ ${#COMPREPLY[@]} = 0 ] || printf "%s\n" "${COMPREPLY[@]}"' bash "$@"
}

# expect SHELL 'CANDIDATES' WORDS...: exactly these.
expect()
{
    shell=$1 wanted=$2
    shift 2
    got=$("${shell}_offers" "$@" | sort | tr '\n' '|')
    [ "$got" = "$(printf %s "$wanted" | tr '|' '\n' | sort | tr '\n' '|')" ] || fault "$shell: cvmhost $*: expected $wanted, got $got"
}

# has SHELL CANDIDATE WORDS...: among others.
has()
{
    shell=$1 wanted=$2
    shift 2
    "${shell}_offers" "$@" | grep -qxF -- "$wanted" || fault "$shell: cvmhost $*: no $wanted"
}

has bash buy ''
has bash plugin ''
expect bash 'bundle|bus|buy' bu
expect bash 'airtime|data|power' buy ''
expect bash 'list' plugin li
expect bash 'agent|trigger|treatment|channel|provider' plugin list --kind ''
expect bash 'domain' plugin new d
expect bash 'shop.till' agent call shop
expect bash 'order' agent call shop.till ''
expect bash 'airtime' rollback air
expect bash 'table|json|csv' ps --output ''
expect bash 'json' ps --output = j # as bash splits --output=j
expect bash 'table|json|csv' ps --output =
expect bash 'DEBUG' --log-level D
expect bash 'bash|zsh|fish' completion ''
expect bash 'order' help shop ''
expect bash "small|very\\ large|it\\'s" shop order ''
expect bash 'red|rose' shop order small --color r
expect bash '--color' shop order small --col
expect bash '--wrapped' shop order --wr
has bash '--help' shop order -
has bash '--kind' plugin list -
expect bash '' why ''
expect bash '' nonsense ''
expect bash 'bundle|bus|buy' --home "$CVMHOST_HOME" bu
expect bash 'bus' --home /nonexistent bu
expect bash 'bundle|bus|buy' --home /nonexistent "--home=$CVMHOST_HOME" bu
(cd "$top" && mkdir folder && : >file.json)
cd "$top" || exit 1
expect bash 'file.json' shop order --file "fi"
expect bash 'folder' ps --home fo
cd "$OLDPWD" || exit 1

# Words about each, for shells that show them; nothing of what goes wrong; at once.
cvmhost complete -- shop or | grep -qx "order	Order: a thing" || fault 'no words about a candidate'
told=$(cvmhost complete -- --home /nonexistent agent call '' 2>&1 >/dev/null)
[ -z "$told" ] || fault "a home that is none is told of: $told"
cvmhost complete >/dev/null || fault 'an empty line fails'
cvmhost complete -- >/dev/null || fault 'a line of no words fails'
cvmhost complete -- '' --a=b '' -- x '=' >/dev/null || fault 'a strange line fails'
# least LIMIT WORDS...: microseconds of the quickest of up to fifty tries: others use this machine, too.
least()
{
    limit=$1 best=1000000 tries=0
    shift
    while [ $best -ge "$limit" ] && [ $tries -lt 50 ]; do
        tries=$((tries + 1))
        began=$(date +%s%N)
        cvmhost "$@" >/dev/null
        took=$((($(date +%s%N) - began) / 1000))
        [ $took -ge $best ] || best=$took
    done
    echo $best
}
nothing=$(least 0 --version) # what any command takes on this machine
limit=$((nothing * 12 > 50000 ? nothing * 12 : 50000))
took=$(least $limit complete -- agent call '')
[ "$took" -lt $limit ] || fault "a completion takes $took us, a command that does nothing $nothing"
cvmhost completion tcsh >/dev/null 2>&1
[ $? = 2 ] || fault 'a shell that is not known does not end with 2'
for shell in bash zsh fish; do cvmhost completion $shell | grep -q 'complete --' || fault "no script for $shell"; done

if command -v zsh >/dev/null; then
    # shellcheck disable=SC2016 # for zsh
    zsh_offers()
    {
        zsh -fc 'compdef() { : }; _describe() { local list=$argv[-1]; print -rl -- ${(P)list} }
            source <(cvmhost completion zsh); words=(cvmhost "$@"); CURRENT=$#words; _cvmhost' zsh "$@"
    }
    has zsh 'airtime:Buy airtime for a phone number' buy ''
    expect zsh 'order:Order: a thing' shop o
    expect zsh "small|very large|it's" shop order ''
    expect zsh 'shop.till:shop.till, agent' agent call shop
    expect zsh '--output=json' ps --output=j
else
    echo 'zsh is not installed: its script was not run'
fi
if command -v fish >/dev/null; then
    # shellcheck disable=SC2016 # for fish
    fish_offers() { fish --no-config -c 'cvmhost completion fish | source; complete -C (string join " " -- cvmhost $argv)' -- "$@"; }
    has fish 'airtime	Buy airtime for a phone number' buy ''
    expect fish 'json' ps --output j
    expect fish 'shop.till	shop.till, agent' agent call shop
else
    echo 'fish is not installed: its script was not run'
fi
[ $faults = 0 ] || { printf '%s\n' "$faults differences"; exit 1; }
