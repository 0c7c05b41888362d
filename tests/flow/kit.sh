# For tests of the installed kit: installs the build below $top, makes an empty home, starts a host on it with the plugins
# that were installed. Needs CVMHOST_BUILD, the current folder at the top of the sources, and $top; sets prefix, cvmhost, home, port.
. examples/demo/lib.sh
host_pid=''
home=${home:-$top/home} prefix=$top/root/usr/local

faults=0
fault() { printf '%s\n' "$*"; faults=$((faults + 1)); }

# Another one for each test: between looking for a port and listening on it, it belongs to nobody.
own_port() { free_port $((18100 + $$ % 10000)); }

stop_host()
{
    [ -z "$host_pid" ] || { kill "$host_pid" 2>/dev/null; wait "$host_pid" 2>/dev/null; }
    host_pid=''
}

install_kit()
{
    meson install -C "$CVMHOST_BUILD" --no-rebuild --quiet --destdir "$top/root" >"$top/install.log" 2>&1 ||
        { cat "$top/install.log"; die 'meson install fails'; }
    found=$(find "$top/root" -name cvmhost -type f -perm -u+x | head -n 1)
    [ -n "$found" ] || die 'meson install puts no program anywhere'
    prefix=${found%/bin/cvmhost}
    cvmhost=$found
    export PKG_CONFIG_PATH="$prefix/lib/pkgconfig" PATH="$prefix/bin:$PATH" CVMHOST_INSTALLED="$prefix/lib/cvmhost"
}

make_home()
{
    mkdir -p "$home/config" "$home/plugins" "$home/manifests"
    port=$(own_port)
    export CVMHOST_HOME="$home"
}

# configure JSON-MEMBERS: the configuration of the home, beside its port.
configure()
{
    cat >"$home/config/cvmhost.json" <<J
{ "http": { "host": "127.0.0.1", "port": $port }, "plugins": { "inline": ["*"] }$1 }
J
}

start_host()
{
    "$cvmhost" serve --home "$home" >"$top/host.log" 2>&1 &
    host_pid=$!
    wait_for 20 grep -q 'serving on' "$top/host.log" || { tail -n 20 "$top/host.log"; die 'The host did not start.'; }
}

has_command() { "$cvmhost" help 2>/dev/null | grep -qE "^  $1( |\$)"; }
