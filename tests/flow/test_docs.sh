#!/bin/sh
# Holds the documentation against the program: the commands of docs/howto/first-steps.md and lifecycle.md are run one after the other, the plugins
# of docs/howto/plugin.md and docs/howto/pages.md are built and used, and what the reference lists (commands, metrics, settings, errors, secrets)
# must be what there is.
# Needs CVMHOST_BUILD. Exit status 0 or 1; a sentence for each difference.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=$CVMHOST_BUILD
top=$(mktemp -d)
home=$top/home logs=$top/log
. examples/demo/lib.sh
. examples/demo/home.sh
trap 'stop_all; rm -rf "$top"' EXIT

faults=0
fault() { printf '%s\n' "$*"; faults=$((faults + 1)); }

# ---- pages with commands ----

# run_page FILE LEAST: runs the lines that begin with "$ " in its console blocks, at least so many.
run_page()
{
    page=$1 enquiry='' transaction='' n=0
    sed -n '/^```console/,/^```$/s/^\$ //p' "$page" >"$top/commands"
    while read -r line; do
        n=$((n + 1)) expected=0
        case $line in *'# exit status '*) expected=${line##*# exit status } ;; esac
        line=$(printf '%s' "$line" | sed "s/ENQ-…/$enquiry/g; s/TXN-…/$transaction/g; s/127.0.0.1:8000/127.0.0.1:$port/g")
        sh -c "$line" >"$top/out" 2>&1 </dev/null
        status=$?
        [ $status = "$expected" ] || fault "$page: \"$line\" ended with $status: $(head -c 300 "$top/out")"
        [ -s "$top/out" ] || fault "$page: \"$line\" printed nothing"
        found=$(grep -oE 'ENQ-[0-9a-f]{12}' "$top/out" | head -n 1)
        enquiry=${found:-$enquiry}
        found=$(sed -nE 's/^transaction_id: (TXN-[0-9a-f]{12})$/\1/p' "$top/out" | head -n 1)
        transaction=${found:-$transaction}
    done <"$top/commands"
    [ $n -ge "$2" ] || fault "$page: found only $n commands"
}

block() { sed -n "/^\`\`\`$2\$/,/^\`\`\`\$/{/^\`\`\`/d;p}" "$1"; } # FILE LANGUAGE

# The plugin of the page, built and dropped into the home before the host starts.
build_plugin()
{
    block docs/howto/plugin.md c >"$top/hello.c"
    block docs/howto/plugin.md json >"$top/hello.json"
    block docs/howto/plugin.md sh >"$top/hello.sh"
    ln -s "$PWD/sdk" "$top/sdk"
    (cd "$top" && sh -e hello.sh) || fault 'docs/howto/plugin.md: the plugin cannot be built'
}

# The same with its pages.
build_board()
{
    mkdir -p "$top/board/pages/board"
    block docs/howto/pages.md c >"$top/board.c"
    block docs/howto/pages.md json >"$top/board.json"
    block docs/howto/pages.md html >"$top/board/pages/board.html"
    block docs/howto/pages.md js >"$top/board/pages/board/board.js"
    block docs/howto/pages.md sh >"$top/board.sh"
    (cd "$top" && sh -e board.sh) || fault 'docs/howto/pages.md: the plugin cannot be built'
}

# What its stream has told is what was pinned.
check_board()
{
    (sleep 0.5; "$cvmhost" board pin 'Seen' >/dev/null) &
    curl -sN -m 2 "http://127.0.0.1:$port/api/v1/board/events" >"$top/told"
    grep -q '^data: {"text":"Seen","at":[0-9]*}$' "$top/told" || fault "docs/howto/pages.md: its stream tells: $(cat "$top/told")"
}

# ---- the reference ----

check_reference()
{
    "$cvmhost" metrics | sed -n 's/^# TYPE \([a-z0-9_]*\) .*/\1/p' >"$top/metrics"
    [ "$(wc -l <"$top/metrics")" -gt 20 ] || fault 'cvmhost metrics prints too few metrics'
    while read -r name; do
        grep -qF "| \`$name\` |" docs/reference/metrics.md || fault "docs/reference/metrics.md does not list $name"
    done <"$top/metrics"
    for name in $(sed -n 's/^| `\(cvmhost_[a-z_]*\)`.*/\1/p' docs/reference/metrics.md); do
        case $name in *_http_*) continue ;; esac # on the listener's own page
        grep -qx "$name" "$top/metrics" || fault "docs/reference/metrics.md lists $name, which there is not"
    done
    "$cvmhost" help | sed -n 's/^  \([a-z]*\( [a-z]*\)\{0,1\}\)  .*/\1/p' >"$top/words"
    [ "$(wc -l <"$top/words")" -gt 20 ] || fault 'cvmhost help lists too few commands'
    while read -r words; do
        case $words in greet | board\ *) continue ;; esac # of docs/howto
        grep -qF "\`$words" docs/reference/cli.md || fault "docs/reference/cli.md does not list: $words"
    done <"$top/words"
    sed -n 's/.*"rest": *"\([^"]*\)".*/\1/p' manifests/*.json | sort -u >"$top/routes"
    while read -r route; do
        grep -qF "| \`$route\` |" docs/reference/http.md || fault "docs/reference/http.md does not list $route"
    done <"$top/routes"
    for name in $(sed -n 's/^ *X(\(CVM_E[A-Z]*\),.*/\1/p' sdk/include/cvm/cvm.h); do
        grep -qF "| \`$name\` |" docs/reference/errors.md || fault "docs/reference/errors.md does not list $name"
    done
    # Settings: two words deep, as config show prints them.
    "$cvmhost" config show | awk '/^[a-z]/ { area = $1; next } /^  [a-z_]+:/ { print area $1 }' | sed 's/:/./; s/:$//' |
        grep -vE '^(agents|roles|secrets)\.' >"$top/settings"
    [ "$(wc -l <"$top/settings")" -gt 20 ] || fault 'config show prints too few settings'
    while read -r setting; do
        grep -qF "\`$setting\`" docs/reference/configuration.md || fault "docs/reference/configuration.md does not list $setting"
    done <"$top/settings"
    for name in $(sed -n '/"secrets": *\[/s/.*\[\(.*\)\].*/\1/p' manifests/*.json | tr -d '",'); do
        grep -qE "^#? ?$name=" .env.example || fault ".env.example does not list $name"
    done
}

export CVMHOST_HOME="$home" PATH="$build/host:$PATH"
make_home
build_plugin
build_board
start_simulator
start_host
check_reference
run_page docs/howto/first-steps.md 15
run_page docs/howto/lifecycle.md 17
run_page docs/howto/plugin.md 3
run_page docs/howto/support-desk.md 11
run_page docs/howto/pages.md 5
check_board
[ $faults = 0 ] || { printf '%s\n' "$faults differences"; exit 1; }
