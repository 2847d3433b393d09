#!/bin/sh
# ldconfig -X puts the name of a link that is not there into the cache, and the linker then looks for no other one.
#
# Tool      ldconfig and ld.so of glibc 2.36 (Debian 12) and 2.41 (Debian 13).
# Expected  ldconfig(8) of -X: "Don't update links." So what has no link of its soname, and cannot be found under it, is not in
#           the cache, or the linker, which does not find what the cache has for a name, goes on to the next folder.
# Seen      /one has libcrypt.so.1.1.0 and no link libcrypt.so.1, /two has both; perl needs libcrypt.so.1.
#           - `ldconfig -X /one /two`: the cache has /one/libcrypt.so.1, which does not exist, and /two/libcrypt.so.1, which
#             does. perl does not start: "cannot open shared object file". The first entry of a name is tried, no second one.
#           - `ldconfig -X /two /one`: it starts.
#           - The first order again, and the library in the linker's own folder, too: it starts; that is not in the cache only.
#           - Without -X, on a file system that is mounted read-only: "Can't link", status 0, and the same cache.
# So        Whoever makes a cache over read-only folders has to look that each library's link is there: one that lacks it
#           hides that of the same name in every later folder.
# In jaild  jaild/model/layers/libraries.py, `Scope._of_cache`; tests/unit/adapters/files/test_linker.py,
#           a_name_without_its_link_hides_the_one_in_the_next_folder.
# Run       as root. Status 0: as described; 1: no longer so; 2: it cannot be tried here.
set -eu
bookworm="libc6=2.36-9+deb12u14 libc-bin=2.36-9+deb12u14 libcrypt1=1:4.4.33-2 perl-base=5.36.0-7+deb12u3"
trixie="libc6=2.41-12+deb13u5 libc-bin=2.41-12+deb13u5 libcrypt1=1:4.4.38-1 perl-base=5.40.1-6+deb13u1"

untried() {
    echo "it cannot be tried here: $*" >&2
    exit 2
}

# Packages of a Debian release in a tree, by apt with lists of its own.
unpack() {
    release=$1
    shift
    tree=$folder/$release
    mkdir -p "$folder/lists/partial" "$folder/debs" "$tree/usr/bin" "$tree/usr/sbin" "$tree/usr/lib" "$tree/usr/lib64" "$tree/etc"
    (cd "$tree" && ln -s usr/bin usr/sbin usr/lib usr/lib64 .)
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main" >"$folder/sources.list"
    apt="apt-get -qq -o APT::Sandbox::User=root -o Dir::State::Lists=$folder/lists -o Dir::State::status=/dev/null
        -o Dir::Etc::sourcelist=$folder/sources.list -o Dir::Etc::sourceparts=/dev/null"
    $apt update && (cd "$folder/debs" && $apt download "$@") || untried "no $*"
    for package in "$folder"/debs/*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$tree"
    done
    rm -r "$folder/debs" "$folder/lists"
}

start() {
    status=0
    chroot "$tree" perl -v >"$folder/said" 2>&1 || status=$?
    echo "$1: status $status$(sed -n 's/.*libraries: /, /p' "$folder/said")"
}

experiment() {
    own=$(cd "$tree" && echo usr/lib/*-linux-gnu)
    mkdir "$tree/one" "$tree/two"
    mv "$tree/$own"/libcrypt.so.1* "$tree/two"
    cp "$tree"/two/libcrypt.so.1.1.0 "$tree/one"
    chroot "$tree" ldconfig -X /one /two
    echo "in the cache:" $(chroot "$tree" ldconfig -p | sed -n 's/.*libcrypt.*=> //p')
    start "one, two"
    chroot "$tree" ldconfig -X /two /one
    start "two, one"
    chroot "$tree" ldconfig -X /one /two
    cp -P "$tree"/two/libcrypt.so.1* "$tree/$own"
    start "one, two, the linker's own"
    rm "$tree/$own"/libcrypt.so.1*
    mount --bind "$tree/one" "$tree/one"
    mount -o remount,bind,ro "$tree/one"
    status=0
    chroot "$tree" ldconfig /one /two >"$folder/said" 2>&1 || status=$?
    echo "without -X: status $status," $(grep -o "Can't link.*" "$folder/said")
    start "one, two"
    umount "$tree/one"
}

if [ $# = 3 ]; then
    folder=$2
    tree=$2/$3
    experiment
    exit
fi
[ "$(id -u)" = 0 ] || untried "it needs root"
unshare --mount true || untried "no new namespaces"
mirror=$(apt-get indextargets --format '$(REPO_URI)|$(RELEASE)|$(COMPONENT)' 2>&1 | sed -n 's/|[^|-]*|main$//p' | head -n 1)
[ -n "$mirror" ] || untried "apt names no Debian archive"
folder=$(mktemp -d /tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
trap 'exit 2' HUP INT TERM
unpack bookworm $bookworm
unpack trixie $trixie
for release in bookworm trixie; do
    echo "$release"
    unshare --mount --propagation private sh "$0" inside "$folder" "$release"
done >"$folder/seen"
for release in bookworm trixie; do
    cat <<END
$release
in the cache: /one/libcrypt.so.1 /two/libcrypt.so.1
one, two: status 127, libcrypt.so.1: cannot open shared object file: No such file or directory
two, one: status 0
one, two, the linker's own: status 0
without -X: status 0, Can't link /one/libcrypt.so.1 to libcrypt.so.1.1.0
one, two: status 127, libcrypt.so.1: cannot open shared object file: No such file or directory
END
done >"$folder/described"
cat "$folder/seen"
diff -u "$folder/described" "$folder/seen" || { echo "no longer as described" && exit 1; }
echo "as described"
