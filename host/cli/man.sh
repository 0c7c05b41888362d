#!/bin/sh
# The manual page cvmhost(1), made of what the program itself says: `man.sh PROGRAM OUTPUT`. Run by the build, in an
# empty home, so that only the commands of the host stand in it: those of plugins come and go with them.
set -eu
program=$(realpath "$1") output=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export CVMHOST_HOME="$work" LC_ALL=C.UTF-8

# Text as roff: backslashes, dashes, and a dot or apostrophe that would begin a request.
roff() { sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^\([.']\)/\\\\\&\1/"; }

version=$("$program" version | awk 'NR == 1 { print $NF }')
"$program" help >all
commands=$(sed -n 's/^  \([a-z][a-z ]*[a-z]\)  .*/\1/p' all)
{
    printf '.TH CVMHOST 1 "" "cvmhost %s" "User commands"\n' "$version"
    printf '.SH NAME\ncvmhost \\- runs plugins of agents, triggers, treatments, channels and providers\n'
    printf '.SH SYNOPSIS\n.B cvmhost\n.I COMMAND\n[\\fIARGUMENTS\\fR] [\\fIOPTIONS\\fR]\n'
    printf '.SH DESCRIPTION\nA command speaks to the host that runs in its home; where none runs, it starts one for itself, which ends with it.\n'
    printf '.PP\nThe commands of the host are below. The plugins bring commands of their own: \\fBcvmhost help\\fR lists all that are there,\n'
    printf '\\fBcvmhost\\fR \\fICOMMAND\\fR \\fB\\-\\-help\\fR tells one in full.\n.SH COMMANDS\n'
    printf '%s\n' "$commands" | while read -r words; do
        # shellcheck disable=SC2086 # the words of a command are arguments
        "$program" $words --help >one </dev/null || continue
        printf '.SS "cvmhost %s"\n.nf\n' "$words"
        sed '/^Of every command:/,$d' one | roff
        printf '.fi\n'
    done
    printf '.SH OPTIONS OF EVERY COMMAND\n.nf\n'
    "$program" version --help | sed -n '/^Of every command:/,/^$/p' | sed 1d | roff
    printf '.fi\n.SH EXIT STATUS\n'
    sed -n 's/^Exit status: //p' all | roff
    printf '.SH ENVIRONMENT\n.TP\n.B CVMHOST_HOME\nthe home, where \\fB\\-\\-home\\fR does not name it; else it is the working directory\n'
    printf '.TP\n.B CVMHOST_NO_START\n1: a command starts no host of its own\n'
    printf '.TP\n.B LOG_LEVEL\nDEBUG, INFO, WARNING or ERROR, where \\fB\\-\\-log\\-level\\fR does not say it\n'
    printf '.SH FILES\n.TP\n.I HOME/config/cvmhost.json\nsettings; \\fBcvmhost config show\\fR lists them with their defaults\n'
    printf '.TP\n.I HOME/.env\nsecrets, mode 0600\n.TP\n.I HOME/data/cvmhost.db\nthe journal, state and tables\n'
    printf '.TP\n.I HOME/logs/cvmhost.log\nthe log\n'
    printf '.TP\n.I /usr/share/doc/cvmhost/docs\ntutorial, how\\-to, reference and explanation\n'
    printf '.SH SEE ALSO\n.BR systemctl (1),\n.BR cvmhost\\-text (1)\n'
} >"$output"
