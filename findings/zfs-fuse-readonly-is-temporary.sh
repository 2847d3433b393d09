#!/bin/sh
# zfs-fuse says of a mounted dataset that readonly is off, "temporary", whatever it is set to and though it refuses writes.
#
# Tools     zfs-fuse 0.7.0-25+b1 of Debian 12.
# Expected  `zfs get readonly` says on, from "local", of a dataset set to readonly=on, as OpenZFS does; a temporary value is one
#           that a mount option has set.
# Seen      Of a mounted one it says off, from "temporary", right after the set and after a mount anew; writes are refused (EROFS)
#           all the same, and /proc/mounts says rw. Of one that is not mounted it says on, from "local". So it is of a child that
#           inherits. A change acts at once on what is mounted.
# So        Whether a dataset may be written to can be asked of a mounted one by writing only; what is to be kept about it must be
#           kept elsewhere than in what `zfs get` says.
# In jaild  jaild/transfer: a copy is closed and opened by setting, never by asking. jaild/host/service.py opens at a start what it
#           finds closed; here it finds only what is not mounted.
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

# What is said of a dataset, and whether it can be written to.
state() {
    zfs get -H -o value,source readonly "$1" | tr '\t' ' '
    if [ "$(zfs get -H -o value mounted "$1")" = yes ]; then
        echo "mounted $(awk -v at="$folder/$1" '$2 == at { print substr($4, 1, 2) }' /proc/mounts), write:" \
            "$( (echo x >"$folder/$1/file") 2>&1 | sed 's/.*: //' | grep . || echo done)"
    else
        echo "not mounted"
    fi
}

experiment() {
    zfs create tank/set
    zfs create tank/set/child
    {
        zfs set readonly=on tank/set
        for dataset in tank/set tank/set/child; do
            echo "$dataset"
            state "$dataset"
        done
        zfs unmount tank/set/child
        zfs unmount tank/set
        echo "unmounted"
        state tank/set
        state tank/set/child
        zfs mount tank/set
        echo "mounted again"
        state tank/set
        zfs set readonly=off tank/set
        echo "readonly=off"
        state tank/set
    } >"$folder/seen" 2>&1
    zpool export tank
    cat >"$folder/described" <<END
tank/set
off temporary
mounted rw, write: Read-only file system
tank/set/child
off temporary
mounted rw, write: Read-only file system
unmounted
on local
not mounted
on inherited from tank/set
not mounted
mounted again
off temporary
mounted rw, write: Read-only file system
readonly=off
off local
mounted rw, write: done
END
    echo "zfs-fuse 0.7.0-25+b1"
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
