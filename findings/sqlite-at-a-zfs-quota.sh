#!/bin/sh
# SQLite does not say SQLITE_FULL when the quota of its ZFS dataset is reached, but "disk I/O error".
#
# Tools     SQLite 3.54.1 (as in apsw 3.54.1.0 of PyPI), zfs-fuse 0.7.0-25+b1 of Debian 12.
# Expected  SQLITE_FULL (13), "database or disk is full", which is what SQLite says when there is no room for a write.
# Seen      On a dataset with quota=40M that is filled, in WAL mode: an insert ends with SQLITE_IOERR_WRITE (778), "disk
#           I/O error". write(2) fails there with EDQUOT, and so, by strace(1), does the pwrite64(2) of SQLite, whose
#           os_unix.c says SQLITE_FULL for ENOSPC only. The same insert on a full tmpfs, whose write(2) fails with
#           ENOSPC: SQLITE_FULL. statvfs(3) has 0 blocks available on both.
# So        A program that makes room on SQLITE_FULL never learns that it should, and one that takes SQLITE_IOERR for a
#           broken disk says so of a full dataset. Who has SQLITE_IOERR has to ask statvfs(3) whether anything is free.
# In jaild  jaild/adapters/sqlite.py, `_is_full`, and jaild/adapters/files/ballast.py; tests/unit/adapters/files/test_ballast.py,
#           test_a_datasets_quota_is_a_full_file_system_and_another_io_error_is_not.
# Run       as root, with /dev/fuse. Status 0: as described; 1: no longer so; 2: it cannot be tried here.
set -eu
packages="zfs-fuse=0.7.0-25+b1 libfuse2=2.9.9-6+b1 libtirpc3=1.3.3+ds-1"
wheels="apsw==3.54.1.0"

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

# A database with room, then none, then an insert.
insert() {
    "$folder/venv/bin/python" - "$1" <<'END'
import errno, os, sys
import apsw

os.chdir(sys.argv[1])
database = apsw.Connection("database")
print("journal:", *database.execute("pragma journal_mode=wal").fetchone())
database.execute("create table t (x)")
filler = os.open("filler", os.O_WRONLY | os.O_CREAT)
for size in (1 << 17, 1 << 12):
    try:
        for _ in range(1 << 10):
            os.write(filler, os.urandom(size))
        sys.exit("it does not fill")
    except OSError as error:
        refused = errno.errorcode[error.errno]
print("write(2):", refused)
print("statvfs(3):", os.statvfs(".").f_bavail, "blocks available")
try:
    for _ in range(64):
        database.execute("insert into t values (zeroblob(65536))")
    print("insert: done")
except apsw.Error as error:
    codes = apsw.mapping_result_codes | apsw.mapping_extended_result_codes
    print("insert:", codes[error.extendedresult], error.extendedresult, error)
END
}

experiment() {
    zfs create -o quota=40M tank/quota
    mkdir "$folder/small"
    mount -t tmpfs -o size=40M none "$folder/small"
    for place in tank/quota small; do
        echo "$place"
        insert "$folder/$place" 2>&1 || echo "status $?"
    done >"$folder/seen"
    umount "$folder/small"
    zpool export tank
    cat >"$folder/described" <<END
tank/quota
journal: wal
write(2): EDQUOT
statvfs(3): 0 blocks available
insert: SQLITE_IOERR_WRITE 778 disk I/O error
small
journal: wal
write(2): ENOSPC
statvfs(3): 0 blocks available
insert: SQLITE_FULL 13 database or disk is full
END
    echo "zfs-fuse 0.7.0-25+b1; SQLite" "$("$folder/venv/bin/python" -c 'import apsw; print(apsw.sqlite_lib_version())')"
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
{ python3 -m venv "$folder/venv" && "$folder/venv/bin/pip" -qq install --only-binary :all: $wheels; } || untried "no $wheels"
timeout -s KILL 120 unshare --mount --propagation private --pid --fork --kill-child --mount-proc sh "$0" inside "$folder"
