#!/bin/sh
# docs/howto/email-and-slack.md, carried out as it is written, on a real host with a mail server and a Slack that are
# played: its settings, its secrets, its commands. Needs CVMHOST_BUILD and python3-aiosmtpd (77: skipped without).
# Exit status 0 or 1; a sentence for each difference.
set -u
cd "$(dirname "$0")/../.." || exit 1
page=docs/howto/email-and-slack.md
build=$CVMHOST_BUILD top=$(mktemp -d)
export CVMHOST_HOME="$top/home" PATH="$build/host:$PATH"
if ! /usr/bin/python3 -c 'import aiosmtpd' 2>/dev/null; then
    echo 'skipped: python3-aiosmtpd is not installed (apt-get install python3-aiosmtpd)'
    rm -rf "$top"
    exit 77
fi
pids=''
trap 'for p in $pids; do kill "$p"; wait "$p"; done 2>/dev/null; rm -rf "$top"' EXIT
fail() { echo "$page: $*"; tail -n 5 "$top"/*.log; exit 1; }
free_port() { /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
block() { awk -v want="$1" -v n="$2" '/^```/ { on = !on && $0 == "```" want && ++seen == n; next } on' "$page"; } # LANGUAGE N
lines() { wc -l <"$1" 2>/dev/null || echo 0; }
until_is() { i=0; until eval "$1"; do i=$((i + 1)); [ $i -lt 200 ] || fail "waited in vain: $1"; sleep 0.1; done; }

mkdir -p "$CVMHOST_HOME/config" "$CVMHOST_HOME/manifests" "$CVMHOST_HOME/plugins"
cp -R manifests/. "$CVMHOST_HOME/manifests/"
find "$build/plugins" -name '*.so' -exec cp {} "$CVMHOST_HOME/plugins/" \;
mail=$(free_port) slack=$(free_port) http=$(free_port)
/usr/bin/python3 tests/flow/mail_server.py "$mail" "$top/mails" 250 >"$top/mail.log" 2>&1 &
pids=$!
/usr/bin/python3 tests/flow/slack_stub.py "$slack" "$top/posts" 200 >"$top/slack.log" 2>&1 &
pids="$pids $!"
inline='{"plugins": {"inline": ["*"]}'
echo "$inline}" >"$CVMHOST_HOME/config/cvmhost.json"
cvmhost serve --home "$CVMHOST_HOME" --port "$http" >"$top/host.log" 2>&1 &
pids="$! $pids"
until_is 'grep -q "serving on" "$top/host.log"'
until_is 'grep -q ready "$top/mail.log" && grep -q ready "$top/slack.log"'

# The page's own settings and secrets, at the addresses of those that are played, which want no login.
block json 1 | sed "s|mail.example.com:587|localhost:$mail|; 1s|^{|$inline,|" >"$CVMHOST_HOME/config/cvmhost.json"
(umask 077 && block sh 1 | sed "/^SMTP_/d; s|https://hooks.slack.com|http://127.0.0.1:$slack|" >"$CVMHOST_HOME/.env")
n=0
awk '/^```/ { on = /^```console$/; next } on' "$page" | sed -n 's/^\$ //p' >"$top/commands"
while read -r line; do
    n=$((n + 1)) expected=0
    case $line in *'# exit status '*) expected=${line##*# exit status } ;; esac
    sh -c "$(printf '%s' "$line" | sed 's/\\/\\/g')" >"$top/out.log" 2>&1 </dev/null
    status=$?
    [ $status = "$expected" ] || fail "\"$line\" ended with $status: $(cat "$top/out.log")"
    case $line in *deliver*) [ "$expected" != 0 ] || grep -q sent "$top/out.log" || fail "\"$line\" says $(cat "$top/out.log")" ;; esac
done <"$top/commands"
[ $n = 6 ] || fail "has $n commands"
[ "$(lines "$top/mails")" = 1 ] && [ "$(lines "$top/posts")" = 1 ] || fail 'the test messages did not arrive once each'

# A ticket is alerted as the page says.
cvmhost support data load >/dev/null 2>&1
cvmhost support ticket create --customer CUST001 --description 'The sidecar cannot reach our application' >"$top/ticket.log" 2>&1 ||
    fail "no ticket: $(cat "$top/ticket.log")"
until_is '[ "$(lines "$top/mails")" -ge 2 ] && [ "$(lines "$top/posts")" -ge 2 ]'
until_is 'cvmhost support alerts | grep -c sent | grep -qx 2'
grep -q lead@example.com "$top/mails" && grep -q https://desk.example.com/ui/support# "$top/posts" || fail 'an alert is not as the page says'
block json 2 | /usr/bin/python3 -m json.tool >/dev/null || fail 'the last settings are no JSON'
