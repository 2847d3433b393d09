#!/bin/sh
# bsdtar fails for an extended attribute that a file system does not keep, and says nothing of an ACL that it does not.
#
# Tools     bsdtar 3.6.2 (libarchive-tools and libarchive13 3.6.2-1+deb12u5 of Debian 12), ramfs of the host's kernel.
# Expected  `bsdtar -x -p` treats what the file system does not keep in one way: it fails, or it warns.
# Seen      On a file system without extended attributes and ACLs: a file with security.capability (Debian's ping) comes
#           whole, with "Cannot restore extended attributes on this file system" and, at the end, status 1; a file with
#           file flags as well. A file with a POSIX ACL comes without it: nothing on stderr, status 0.
# So        The status tells neither that a file is missing nor that all of it came. Who wants to know what came reads it
#           back: `bsdtar -c --format=pax` has an ACL and attributes in its headers where the file system kept them.
# In jaild  jaild/adapters/archives/keeping.py; tests/unit/adapters/archives/test_extras.py,
#           test_a_dataset_that_keeps_no_attributes_gets_the_tree_without.
# Run       as root. Status 0: as described; 1: no longer so; 2: it cannot be tried here.
set -eu
packages="libarchive-tools=3.6.2-1+deb12u5 libarchive13=3.6.2-1+deb12u5"

untried() {
    echo "it cannot be tried here: $*" >&2
    exit 2
}

[ "$(id -u)" = 0 ] || untried "it needs root"
if [ $# = 0 ]; then
    folder=$(mktemp -d /tmp/finding.XXXXXX)
    trap 'rm -rf "$folder"' EXIT
    trap 'exit 2' HUP INT TERM
    (cd "$folder" && apt-get -qq -o APT::Sandbox::User=root download $packages) || untried "no $packages"
    for package in "$folder"/*.deb; do dpkg-deb -x "$package" "$folder/packages"; done
    unshare --mount --propagation private true || untried "no new namespace"
    unshare --mount --propagation private sh "$0" "$folder"
    exit
fi
folder=$1
bsdtar() {
    LD_LIBRARY_PATH=$(echo "$folder"/packages/usr/lib/*-linux-gnu) LC_ALL=C "$folder/packages/usr/bin/bsdtar" "$@"
}
bsdtar --version >/dev/null 2>"$folder/said" || untried "$(cat "$folder/said")"
mkdir "$folder/small"
mount -t ramfs none "$folder/small" || untried "no ramfs"
python3 - "$folder" <<'EOF'
import io, sys, tarfile

capability = "\x01\0\0\x02\0\x20" + 14 * "\0"  # CAP_NET_RAW, permitted and effective
acl = "user::rw-,group::r--,other::r--,user:1:r--:1,mask::r--"
records = {"plain": {}, "capability": {"SCHILY.xattr.security.capability": capability}}
records |= {"acl": {"SCHILY.acl.access": acl}, "flags": {"SCHILY.fflags": "nodump"}}
for name, headers in records.items():
    with tarfile.open(f"{sys.argv[1]}/{name}.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo(name)
        member.size, member.pax_headers = 4, headers
        archive.addfile(member, io.BytesIO(b"data"))
EOF
for name in plain capability acl flags; do
    status=0
    bsdtar -x -p -f "$folder/$name.tar" -C "$folder/small" 2>"$folder/errors" || status=$?
    echo "$name: $(cat "$folder/small/$name"), status $status, $(wc -l <"$folder/errors") lines on stderr"
    grep -o "Cannot restore extended attributes on this file system\|Failed to set file flags" "$folder/errors" || :
done >"$folder/seen"
cat >"$folder/described" <<'EOF'
plain: data, status 0, 0 lines on stderr
capability: data, status 1, 2 lines on stderr
Cannot restore extended attributes on this file system
acl: data, status 0, 0 lines on stderr
flags: data, status 1, 2 lines on stderr
Failed to set file flags
EOF
bsdtar --version
cat "$folder/seen"
diff -u "$folder/described" "$folder/seen" || { echo "no longer as described" && exit 1; }
echo "as described"
