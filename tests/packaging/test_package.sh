#!/bin/sh
# The packages on a clean Debian 12: two builds of one commit are the same bytes, they install, the service runs, a drop-in plugin built with cvmhost-sdk works, an
# upgrade under load loses nothing, removal leaves the data. Needs root, debootstrap and dpkg-dev; else it is skipped.
# CVM_DEBIAN_ROOT: a tar file of a minimal Debian 12, in place of debootstrap.
set -eu
source=$(cd "$(dirname "$0")/../.." && pwd)
skip() { echo "skipped: $*"; exit 77; }
[ "$(id -u)" = 0 ] || skip "needs root, for a system of its own"
command -v dpkg-buildpackage >/dev/null && command -v dh >/dev/null || skip "needs dpkg-dev and debhelper"
[ -n "${CVM_DEBIAN_ROOT:-}" ] || command -v debootstrap >/dev/null || skip "needs debootstrap"

work=$(mktemp -d)
root=$work/root port=18077
end()
{
    status=$?
    [ -f "$work/load.pid" ] && kill "$(cat "$work/load.pid")" 2>/dev/null
    [ -f "$root/var/lib/cvmhost/serve.pid" ] && kill "$(cat "$root/var/lib/cvmhost/serve.pid")" 2>/dev/null && sleep 2
    umount "$root/proc" "$root/dev" 2>/dev/null || true
    rm -rf "$work"
    exit $status
}
trap end EXIT INT TERM
fail() { echo "FAILED: $*" >&2; exit 1; }
in_root() { chroot "$root" /bin/sh -ec "$*"; }
# As the unit does it, but for systemd itself, which does not run in a folder.
as_service() { chroot "$root" setpriv --reuid=cvmhost --regid=cvmhost --clear-groups --no-new-privs /bin/sh -ec "cd /var/lib/cvmhost; $*"; }
ready() { for _ in $(seq 100); do curl -fs "http://127.0.0.1:$port/health" >/dev/null && return; sleep 0.2; done; fail "no answer on port $port: $(tail -5 "$work/serve.log")"; }

echo "packages"
"$source/packaging/build.sh" "$work/one" >"$work/build.log" 2>&1 || { tail -20 "$work/build.log"; fail "the packages do not build"; }
next=$(dpkg-parsechangelog -l "$source/debian/changelog" -S Version).1
"$source/packaging/build.sh" "$work/two" "$next" >"$work/build2.log" 2>&1 || fail "the next packages do not build"

echo "the same once more"
"$source/packaging/build.sh" "$work/another/place" >"$work/build3.log" 2>&1 || fail "the packages do not build twice"
for package in "$work"/one/*.deb; do
    cmp "$package" "$work/another/place/$(basename "$package")" || fail "two builds of one commit differ"
done

echo "a clean system"
mkdir "$root"
if [ -n "${CVM_DEBIAN_ROOT:-}" ]; then
    tar -x -C "$root" -f "$CVM_DEBIAN_ROOT"
else
    debootstrap --variant=minbase bookworm "$root" >"$work/debootstrap.log" 2>&1 || { tail -3 "$work/debootstrap.log"; skip "debootstrap did not get a system"; }
fi
mount --bind /proc "$root/proc" && mount --bind /dev "$root/dev"
cp /etc/resolv.conf "$root/etc/"
[ -f /etc/apt/sources.list ] && cp /etc/apt/sources.list "$root/etc/apt/"
for file in /etc/apt/apt.conf.d/*proxy* /etc/apt/apt.conf.d/*registry* /etc/apt/apt.conf.d/*cert*; do
    [ -f "$file" ] && cp "$file" "$root/etc/apt/apt.conf.d/"
done
mkdir "$root/packages"
cp "$work"/one/*.deb "$work"/two/*.deb "$root/packages/"
old=$(dpkg-parsechangelog -l "$source/debian/changelog" -S Version)
export DEBIAN_FRONTEND=noninteractive
in_root "apt-get update -qq && apt-get install -y -qq --no-install-recommends /packages/cvmhost_${old}_*.deb" >"$work/apt.log" 2>&1 ||
    { tail -20 "$work/apt.log"; fail "the package does not install"; }
in_root 'test "$(readlink /etc/cvmhost)" = /var/lib/cvmhost/config && test "$(stat -c %U:%a /var/lib/cvmhost)" = cvmhost:750'
in_root 'test -f /lib/systemd/system/cvmhost.service && test -f /usr/share/man/man1/cvmhost.1.gz || test -d /usr/share/man' || fail "unit or manual are missing"

echo "the service"
as_service "cvmhost config check" >"$work/check.log" 2>&1 || { cat "$work/check.log"; fail "the configuration that is installed does not hold"; }
as_service "echo \$\$ >serve.pid; exec cvmhost serve --home /var/lib/cvmhost --port $port" >"$work/serve.log" 2>&1 &
ready
as_service "cvmhost plugin list --output json" | grep -q '"airtime"' || fail "the plugins are not there"
as_service "cvmhost wallet open C-1 08031234567 && cvmhost wallet credit 08031234567 5000" >/dev/null

echo "a plugin of one's own, with the SDK"
in_root "apt-get install -y -qq --no-install-recommends /packages/cvmhost-sdk_${old}_*.deb gcc libc6-dev make" >"$work/apt2.log" 2>&1 || { tail -5 "$work/apt2.log"; fail "the SDK does not install"; }
in_root "cd /root && cvmhost plugin new agent greet && cd greet && make >/dev/null && cvmhost plugin check greet.so --messages 50" >"$work/new.log" 2>&1 || { tail "$work/new.log"; fail "a new plugin does not build"; }
in_root "cd /root && cp greet/greet.so /var/lib/cvmhost/plugins/ && cp greet/greet.json /var/lib/cvmhost/manifests/ && chown cvmhost /var/lib/cvmhost/plugins/* /var/lib/cvmhost/manifests/*"
as_service "cvmhost reload greet" >"$work/reload.log" 2>&1 || { cat "$work/reload.log"; fail "the plugin is not taken in"; }
as_service "cvmhost plugin info greet" >/dev/null || fail "the plugin is not there"

echo "an upgrade under load"
enquire() { curl -s -o /dev/null -w '%{http_code}\n' --max-time 20 -X POST "http://127.0.0.1:$port/api/v1/enquiries" -H 'Content-Type: application/json' \
    -H "Idempotency-Key: $1" -d '{"message": "how do I check my MTN balance", "channel": "WEB", "customer_phone": "08031234567"}'; }
(n=0; while [ ! -f "$work/stop" ]; do n=$((n + 1)); enquire "key-$n"; done >"$work/codes"; echo $n >"$work/sent") &
echo $! >"$work/load.pid"
sleep 2
before=$(cat "$root/var/lib/cvmhost/serve.pid")
in_root "dpkg -i /packages/cvmhost_${next}_*.deb" >"$work/upgrade.log" 2>&1 || { cat "$work/upgrade.log"; fail "the upgrade does not install"; }
kill -USR2 "$before" # what postinst asks systemd to do
for _ in $(seq 100); do as_service "cvmhost ps" >/dev/null 2>&1 && curl -fs "http://127.0.0.1:$port/metrics" | grep -q "$next" && break; sleep 0.2; done
sleep 2
touch "$work/stop"
wait "$(cat "$work/load.pid")" || true
rm "$work/load.pid"
bad=$(grep -vc '^20[0-9]$' "$work/codes" || true)
[ "$bad" = 0 ] || fail "$bad of $(cat "$work/sent") enquiries failed in the upgrade: $(sort "$work/codes" | uniq -c | tr '\n' ' ')"
[ "$(in_root 'cvmhost version' | grep -c "$next")" = 1 ] || fail "the new version is not there"
kill -0 "$before" || fail "the service was restarted"
as_service "cvmhost wallet show 08031234567 --output json" | grep -q 5000 || fail "the books were not carried over"
as_service "cvmhost plugin info greet" >/dev/null || fail "the plugin was not carried over"
echo "  $(cat "$work/sent") enquiries, none lost"

echo "removal"
kill "$before"
for _ in $(seq 50); do kill -0 "$before" 2>/dev/null || break; sleep 0.2; done
in_root "apt-get purge -y -qq cvmhost" >"$work/purge.log" 2>&1 || fail "the package is not removed"
in_root 'test ! -e /usr/bin/cvmhost && test ! -L /etc/cvmhost && test -s /var/lib/cvmhost/data/cvmhost.db' || fail "removal left the program or took the data"
echo "packages: installed, served, upgraded, removed"
