#!/bin/sh
# Builds the Debian packages of what is committed: packaging/build.sh OUT [VERSION]. The sources are laid out in OUT/src,
# so that nothing is written into this tree; packages come to OUT. VERSION: another one than debian/changelog says.
set -eu
cd "$(dirname "$0")/.."
[ $# -ge 1 ] || { echo "usage: packaging/build.sh OUT [VERSION]" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd) version=${2:-}
rm -rf "$out/src"
mkdir "$out/src"
git archive HEAD | tar -x -C "$out/src"
cd "$out/src"
if [ -n "$version" ]; then
    sed -i "1s/([^)]*)/($version)/" debian/changelog
    sed -i "s/^  version: '[^']*'/  version: '$version'/" meson.build
fi
# The time of the last commit stands in what is built, so that the same commit gives the same packages.
SOURCE_DATE_EPOCH=$(git -C "$OLDPWD" log -1 --format=%ct 2>/dev/null || date +%s) dpkg-buildpackage -b -us -uc
cd "$out"
rm -rf src
