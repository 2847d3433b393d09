#!/bin/sh
# bsdtar that repacks a pax archive damages it, with status 0, if a file in it is all hole.
#
# Tools     bsdtar 3.6.2 (libarchive-tools and libarchive13 3.6.2-1+deb12u5 of Debian 12); GNU tar of the host.
# Expected  `bsdtar -c --format=pax -f B @A` makes an archive B of the entries of A, or fails.
# Seen      A file of zeros that is stored as a hole has a header that announces 512 bytes, its map of where the content
#           is, and no map follows: the next header stands there. libarchive writes the map with the first bytes of the
#           content, and nobody writes any. Status 0, nothing on stderr. GNU tar: "numeric overflow in sparse archive
#           member"; bsdtar itself: "Line too long", and lists nothing. If A's file has content beside
#           holes, or is packed from a folder, or --format=gnutar is used, all is well.
# So        Who repacks archives compares afterwards, or reads the stream himself and puts the map in: after such a header
#           a block that begins another header, or ends the archive, is no map.
# In jaild  jaild/adapters/archives/tarstream.py; tests/unit/adapters/archives/test_verify.py,
#           test_a_file_that_is_all_hole_does_not_hide_what_comes_after_it.
# Run       as anybody. Status 0: as described; 1: no longer so; 2: it cannot be tried here.
set -eu
packages="libarchive-tools=3.6.2-1+deb12u5 libarchive13=3.6.2-1+deb12u5"

untried() {
    echo "it cannot be tried here: $*" >&2
    exit 2
}

folder=$(mktemp -d /tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
trap 'exit 2' HUP INT TERM
(cd "$folder" && apt-get -qq -o APT::Sandbox::User=root download $packages) || untried "no $packages"
for package in "$folder"/*.deb; do dpkg-deb -x "$package" "$folder/packages"; done
bsdtar() {
    LD_LIBRARY_PATH=$(echo "$folder"/packages/usr/lib/*-linux-gnu) LC_ALL=C "$folder/packages/usr/bin/bsdtar" "$@"
}
bsdtar --version >/dev/null 2>"$folder/said" || untried "$(cat "$folder/said")"
mkdir "$folder/tree"
truncate -s 4M "$folder/tree/hole"
truncate -s 4M "$folder/tree/part"
printf x | dd of="$folder/tree/part" bs=1 seek=2000000 conv=notrunc 2>/dev/null
echo data >"$folder/tree/x"

# Repacks an archive of two files; says what bsdtar and GNU tar find in the result.
repack() {
    bsdtar -c --format=pax -f "$folder/a.tar" -C "$folder/tree" "$2" x
    status=0
    bsdtar -c --format="$1" -f "$folder/b.tar" "@$folder/a.tar" 2>"$folder/errors" || status=$?
    echo "$1, $2: status $status, $(wc -l <"$folder/errors") lines on stderr"
    for tool in bsdtar tar; do
        status=0
        $tool -tf "$folder/b.tar" >"$folder/names" 2>/dev/null || status=$?
        echo "    $tool -t: $(tr '\n' ' ' <"$folder/names")status $status"
    done
}
for files in hole part; do
    for format in pax gnutar; do repack $format $files; done
done >"$folder/seen"
cat >"$folder/described" <<'EOF'
pax, hole: status 0, 0 lines on stderr
    bsdtar -t: status 1
    tar -t: hole x status 2
gnutar, hole: status 0, 0 lines on stderr
    bsdtar -t: hole x status 0
    tar -t: hole x status 0
pax, part: status 0, 0 lines on stderr
    bsdtar -t: part x status 0
    tar -t: part x status 0
gnutar, part: status 0, 0 lines on stderr
    bsdtar -t: part x status 0
    tar -t: part x status 0
EOF
bsdtar --version
cat "$folder/seen"
diff -u "$folder/described" "$folder/seen" || { echo "no longer as described" && exit 1; }
echo "as described"
