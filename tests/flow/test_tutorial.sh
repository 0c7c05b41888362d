#!/bin/sh
# docs/tutorial.md, carried out as it is written, with an installed cvmhost and a real host in a home of its own. Blocks
# whose first line has the word "tutorial" are typed, in order; "file=NAME" is a file's content ("append": more of it),
# of a diff what changes in it. In a console block what follows a command is what it must print: "…" stands for anything
# in a line, alone for any lines. "retry": within some seconds. Before the block "dev" the folder must be examples/domain/tv.
# Needs CVMHOST_BUILD. Exit status 0 or 1.
set -u
cd "$(dirname "$0")/../.." || exit 1
source=$PWD page=$PWD/docs/tutorial.md
top=$(mktemp -d)
home=$top/tv-shop dev_pid='' block=0
. tests/flow/kit.sh

finish()
{
    status=$?
    [ -z "$dev_pid" ] || kill "$dev_pid" 2>/dev/null
    stop_host
    if [ $status != 0 ]; then
        echo "docs/tutorial.md: failed at line $(cat "$top/blocks/$block.line" 2>/dev/null) ($(cat "$top/blocks/$block.info" 2>/dev/null))"
        [ ! -f "$top/step.log" ] || tail -n 20 "$top/step.log"
        [ ! -f "$top/dev.log" ] || tail -n 20 "$top/dev.log"
        tail -n 5 "$top/host.log" 2>/dev/null
    fi
    rm -rf "$top"
}
trap finish EXIT

# ---- the page ----

split_page()
{
    mkdir "$top/blocks"
    awk -v dir="$top/blocks" '
        /^```/ && inside { inside = 0; close(out); next }
        inside { print > out; next }
        /^```[a-z]+ .*(tutorial|file=)/ {
            inside = 1; n++; out = sprintf("%s/%03d.text", dir, n)
            info = sprintf("%s/%03d.info", dir, n); print substr($0, 4) > info; close(info)
            line = sprintf("%s/%03d.line", dir, n); print NR > line; close(line)
            printf "" > out
        }' "$page"
    sed -i "s/8100/$port/g" "$top"/blocks/*.text
}

# matches EXPECTED OUTPUT: line by line.
matches()
{
    awk '
        function pattern(text) {
            gsub(/[][\\.^$*+?(){}|\/]/, "\\\\&", text)
            gsub(/…/, ".*", text)
            return "^" text "$"
        }
        FNR == NR { expected[++n] = $0; next }
        { output[++m] = $0 }
        END {
            at = 1
            for (i = 1; i <= n; i++) {
                if (expected[i] == "…") { skip = 1; continue }
                while (skip && at <= m && output[at] !~ pattern(expected[i])) at++
                if (at > m || output[at] !~ pattern(expected[i])) { print "expected: " expected[i]; exit 1 }
                at++; skip = 0
            }
            if (!skip && at <= m) { print "not expected: " output[at]; exit 1 }
        }' "$1" "$2"
}

# ---- steps ----

# try COMMAND STATUS: output in $top/out, compared with $top/expected.
try()
{
    sh -c "$1" >"$top/out" 2>&1 </dev/null
    got=$?
    { [ $got = "$2" ] || { echo "exit status $got, not $2"; false; }; } >"$top/why" && matches "$top/expected" "$top/out" >"$top/why"
}

run_command() # COMMAND
{
    expected=0 tries=1
    case $1 in *'# exit status '*) expected=${1##*# exit status } ;; esac
    case $info in *retry*) tries=60 ;; esac
    until try "$1" "$expected"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || { echo "\$ $1"; cat "$top/why" "$top/out"; exit 1; }
        sleep 0.2
    done
}

run_console()
{
    command=''
    : >"$top/expected"
    while IFS= read -r line; do
        case $line in
        '$ '*) [ -z "$command" ] || run_command "$command"; command=${line#??}; : >"$top/expected" ;;
        *) printf '%s\n' "$line" >>"$top/expected" ;;
        esac
    done <"$text"
    run_command "$command"
}

# The program of a second or third terminal.
run_program()
{
    case $(cat "$text") in
    *'cvmhost serve'*) start_host ;;
    *) sh -c "exec $(cat "$text")" >"$top/dev.log" 2>&1 </dev/null & dev_pid=$!
        wait_for 10 grep -q . "$top/dev.log" ;;
    esac
}

# In this shell: what is typed may change folder and environment for what follows.
type_in()
{
    set -e
    # shellcheck disable=SC1090
    . "$text" >"$top/step.log" 2>&1
    set +e
    rm -f "$top/step.log"
}

write_file()
{
    file=${info##*file=}
    file=${file%% *}
    case $info in
    diff*) patch -s "$file" <"$text" || exit 1 ;;
    *append*) { echo; cat "$text"; } >>"$file" ;;
    *) cp "$text" "$file" ;;
    esac
}

# What the reader has written by now is the sample of the source tree.
compare()
{
    for file in tv.c test_tv.c Makefile tv/words.json tv/intents.json tv/examples.jsonl tv.json; do
        sed 's|"\.\./\.\./\.\./sdk/manifest\.schema|"./manifest.schema|' "$source/examples/domain/tv/$file" | diff - "$file" ||
            { echo "docs/tutorial.md does not lead to examples/domain/tv/$file"; exit 1; }
    done
    compared=yes
}

run_block()
{
    info=$(cat "$top/blocks/$block.info") text=$top/blocks/$block.text
    case $info in *' dev'*) [ "$compared" = yes ] || compare ;; esac
    case $info in
    *' dev'*) ;;
    *) [ -z "$dev_pid" ] || { kill "$dev_pid"; wait "$dev_pid" 2>/dev/null; dev_pid=''; } ;;
    esac
    case $info in
    *file=*) write_file ;;
    console*) run_console ;;
    sh*) case $(cat "$text") in
        'cvmhost '*) run_program ;;
        *) type_in ;;
        esac ;;
    esac
}

install_kit
port=$(own_port)
split_page
export HOME="$top"
unset CVMHOST_HOME
cd "$top" || exit 1
compared=no ran=0
for block in $(cd "$top/blocks" && ls *.info); do
    block=${block%.info}
    run_block
    ran=$((ran + 1))
done
[ "$compared" = yes ] || { echo 'no block is marked dev'; exit 1; }
[ $ran -ge 30 ] || { echo "found only $ran blocks"; exit 1; }
echo "$ran blocks of docs/tutorial.md"
