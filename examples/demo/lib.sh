# What the demo's scripts share: words on the screen, waiting, looking at processes with nothing but a shell.
if [ -t 1 ]; then
    bold=$(printf '\033[1m') dim=$(printf '\033[2m') red=$(printf '\033[31m') green=$(printf '\033[32m') off=$(printf '\033[0m')
else
    bold='' dim='' red='' green='' off=''
fi

die() { printf '%s\n' "${red}$*${off}" >&2; exit 1; }

# A heading, and why the reader should care.
chapter() { printf '\n%s\n' "${bold}$1${off}"; printf '%s\n' "$2" | fold -s -w 100; printf '\n'; }

# Runs a command of the host as a reader would type it, and shows both, cut to a screen's width. Its output is in $out, its status in $status.
run() { run_top 1000 "$@"; }

# The same, but shows the first $1 lines only.
run_top()
{
    top_lines=$1 shown=''
    shift
    for word in "$@"; do
        case $word in *' '*) shown="$shown '$word'" ;; *) shown="$shown $word" ;; esac
    done
    printf '%s\n' "${dim}\$ cvmhost$shown${off}"
    out=$("$cvmhost" "$@" --home "$home" 2>&1)
    status=$?
    [ -z "$out" ] || printf '%s\n' "$out" | awk -v n="$top_lines" 'NR <= n' | sed -E 's/^/    /; s/^(.{129}).+/\1…/'
}

# The same, silently; JSON in $out.
ask() { out=$("$cvmhost" "$@" --home "$home" --output json 2>"$logs/demo-error.log"); status=$?; }

# claim SENTENCE COMMAND...: the demo ends at the first claim that does not hold.
claim()
{
    sentence=$1
    shift
    "$@" || die "  NOT TRUE: $sentence
  ($*)
  Logs: $logs/host.log, $home/logs/"
    printf '%s\n' "${green}  checked: $sentence${off}"
}

is() { [ "$1" = "$2" ] || { printf '%s\n' "  expected \"$2\", got \"$1\"" >&2; return 1; }; }
has() { case $1 in *"$2"*) ;; *) printf '%s\n' "  \"$2\" is not in: $1" >&2; return 1 ;; esac; }

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for()
{
    tries=$(($1 * 50))
    shift
    while ! "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
        sleep 0.02
    done
}

now_ms() { echo $(($(date +%s%N) / 1000000)); }

# Whether something listens on a TCP port of this machine.
listens() { grep -qiE "^ *[0-9]+: [0-9A-F]+:$(printf '%04X' "$1") [0-9A-F:]+ 0A " /proc/net/tcp /proc/net/tcp6 2>/dev/null; }

# The first port from $1 upwards that nobody listens on.
free_port()
{
    p=$1
    while listens "$p"; do p=$((p + 1)); done
    echo "$p"
}

# The child processes of $1.
children_of()
{
    for stat in /proc/[0-9]*/stat; do
        { read -r line <"$stat"; } 2>/dev/null || continue # it may have ended since
        # shellcheck disable=SC2086 # what follows the name in brackets: state, parent, ..
        set -- "$1" ${line##*) }
        [ "$3" != "$1" ] || basename "${stat%/stat}"
    done
}

# member NAME: the value of the first member of that name in the JSON text on stdin; strings without their quotes.
member()
{
    sed -nE "s/.*\"$1\": ?(\"(([^\"\\\\]|\\\\.)*)\"|([^],}]*)).*/\\2\\4/p" | head -n 1 | sed 's/\\"/"/g'
}
