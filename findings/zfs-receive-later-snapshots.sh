#!/bin/sh
# zfs receive takes an increment onto a dataset that has later snapshots than the increment's base.
#
# Tool      zfs-fuse 0.7.0-25+b1 of Debian 12.
# Expected  zfs(8) of that package says of `zfs receive`: "If an incremental stream is received, then the destination
#           file system must already exist, and its most recent snapshot must match the incremental stream's source."
# Seen      A copy has @one and, taken by the copy's own side, @foreign. It is sent the increment from @one to @three.
#           - Nothing was written to the copy: status 0. It has @one, @foreign and @three, and the content of @three.
#           - A file was written to the copy before @foreign: status 1, and nothing is changed:
#             "cannot receive incremental stream: most recent snapshot of tank/written does not
#             match incremental source". That is so of the other copy too: what differs is the file.
# So        A snapshot tool on the receiving side breaks no chain of increments; writes do, and the message blames the
#           snapshot. Who compares newest snapshots, as zfs(8) has it, sends everything again without need.
#           Not so of a snapshot that is made while an increment comes: that receive ends with "invalid backup stream", and
#           the same increment is taken when it is sent again (tests/contract/zfs_stream_cases.py; not tried here).
# In jaild  jaild/adapters/zfs/cli.py, `_fits` and `_receive_failure`; tests/contract/zfs_stream_cases.py, the cases on
#           later snapshots than the base.
# Run       as root, with /dev/fuse. Status 0: as described; 1: no longer so; 2: it cannot be tried here.
set -eu
packages="zfs-fuse=0.7.0-25+b1 libfuse2=2.9.9-6+b1 libtirpc3=1.3.3+ds-1"

untried() {
    echo "it cannot be tried here: $*" >&2
    exit 2
}

# In namespaces of its own: zfs-fuse and its mounts are seen by nobody else, and end with this.
zfs_fuse() {
    PATH=$folder/root/sbin:$PATH
    LD_LIBRARY_PATH=$(echo "$folder"/root/lib/*-linux-gnu)
    export PATH LD_LIBRARY_PATH
    # Where it keeps its socket, lock and list of pools, and where the settings of another one may be.
    for path in /run /var/lib /etc/zfs; do
        [ ! -d "$path" ] || mount -t tmpfs none "$path" || untried "mount $path"
    done
    mkdir /run/zfs /run/lock
    zfs-fuse -n --no-kstat-mount 2>"$folder/log" &
    tries=0
    until zpool list >"$folder/list" 2>&1; do
        [ $((tries += 1)) -le 200 ] || untried "zfs-fuse does not answer: $(cat "$folder/log")"
        sleep 0.1
    done
    truncate -s 256M "$folder/vdev"
    zpool create -o ashift=12 -o cachefile=none -O atime=off -m "$folder/tank" tank "$folder/vdev" || untried "zpool create"
}

copy() {
    { zfs send tank/source@one | zfs receive "tank/$1"; } || untried "the first receive"
    [ "$1" = untouched ] || echo own >"$folder/tank/$1/own"
    zfs snapshot "tank/$1@foreign"
    status=0
    zfs send -i @one tank/source@three 2>"$folder/sent" | zfs receive "tank/$1" 2>&1 || status=$?
    echo "$1: status $status"
    zfs list -H -r -t snapshot -o name "tank/$1"
    (cd "$folder/tank" && grep -r . "$1" | sort)
}

experiment() {
    zfs create tank/source
    echo 1 >"$folder/tank/source/file"
    zfs snapshot tank/source@one
    echo 3 >"$folder/tank/source/file"
    zfs snapshot tank/source@three
    { copy untouched && copy written; } >"$folder/seen"
    zpool export tank
    cat >"$folder/described" <<END
untouched: status 0
tank/untouched@one
tank/untouched@foreign
tank/untouched@three
untouched/file:3
cannot receive incremental stream: most recent snapshot of tank/written does not
match incremental source
written: status 1
tank/written@one
tank/written@foreign
written/file:1
written/own:own
END
    echo "zfs-fuse 0.7.0-25+b1; zfs(8):" \
        "$(zcat "$folder/root/usr/share/man/man8/zfs.8.gz" | grep -o "its most recent snapshot must match[^.]*")"
    cat "$folder/seen"
    diff -u "$folder/described" "$folder/seen" || { echo "no longer as described" && exit 1; }
    echo "as described"
}

if [ $# = 2 ]; then
    folder=$2
    zfs_fuse
    experiment
    exit
fi
[ "$(id -u)" = 0 ] && [ -e /dev/fuse ] || untried "it needs root and /dev/fuse"
unshare --mount --pid --fork --kill-child true || untried "no new namespaces"
folder=$(mktemp -d /tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
trap 'exit 2' HUP INT TERM
(cd "$folder" && apt-get -qq -o APT::Sandbox::User=root download $packages) || untried "no $packages"
for package in "$folder"/*.deb; do dpkg-deb -x "$package" "$folder/root"; done
timeout -s KILL 120 unshare --mount --propagation private --pid --fork --kill-child --mount-proc sh "$0" inside "$folder"
