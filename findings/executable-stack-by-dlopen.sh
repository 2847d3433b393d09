#!/bin/sh
# Since glibc 2.41 a library that wants an executable stack can be needed by a program, but not be opened by one.
#
# Tool      glibc 2.36 (Debian 12) and 2.41 (Debian 13).
# Expected  A library that a program starts with can also be opened by dlopen(3), whose manual page tells of no such limit; and
#           a library without a PT_GNU_STACK header, that is, one which says nothing of its stack, asks for nothing.
# Seen      zlib's library, opened by perl, with its header set to RWE, and with the header taken away:
#           - 2.36 opens both, and the stack of the process is executable from then on, in both cases;
#           - 2.41 opens neither: "cannot enable executable stack as shared object requires: Invalid argument";
#           - both start a program with such a library (LD_PRELOAD stands for DT_NEEDED), with an executable stack; after that
#             2.41 opens the others, too.
#           With GLIBC_TUNABLES=glibc.rtld.execstack=2, Debian 13's 2.41 does as 2.36.
# So        A test that a plug-in can be loaded by its host has to open it: that a program linked with it starts proves nothing.
#           Plug-ins that worked for years fail after an upgrade of the system under them, for a section that one file of
#           assembler in them lacks (.note.GNU-stack).
# In jaild  jaild/model/layers/compatibility.py, `_executable_stacks`; tests/e2e/test_executable_stack.py.
# Run       as anybody. Status 0: as described; 1: no longer so; 2: it cannot be tried here.
set -eu
bookworm="libc6=2.36-9+deb12u14 libcrypt1=1:4.4.33-2 perl-base=5.36.0-7+deb12u3 zlib1g=1:1.2.13.dfsg-1"
trixie="libc6=2.41-12+deb13u5 libcrypt1=1:4.4.38-1 perl-base=5.40.1-6+deb13u1 zlib1g=1:1.3.dfsg+really1.3.1-1+deb13u1"

untried() {
    echo "it cannot be tried here: $*" >&2
    exit 2
}

# Packages of a Debian release in a tree, by apt with lists of its own.
unpack() {
    release=$1
    shift
    tree=$folder/$release
    mkdir -p "$folder/lists/partial" "$folder/debs" "$tree/usr/lib" "$tree/usr/lib64"
    (cd "$tree" && ln -s usr/lib usr/lib64 .)
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main" >"$folder/sources.list"
    apt="apt-get -qq -o APT::Sandbox::User=root -o Dir::State::Lists=$folder/lists -o Dir::State::status=/dev/null
        -o Dir::Etc::sourcelist=$folder/sources.list -o Dir::Etc::sourceparts=/dev/null -o Dir::Cache=$folder/debs"
    $apt update && (cd "$folder/debs" && $apt download "$@") || untried "no $*"
    for package in "$folder"/debs/*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$tree"
    done
    rm -r "$folder/debs" "$folder/lists"
}

# Copies of a library whose PT_GNU_STACK says RWE, or is a header of no kind.
change() {
    python3 - "$1" "$2" <<'END'
import struct, sys

GNU_STACK, NULL, RWE = 0x6474E551, 0, 7
data = bytearray(open(sys.argv[1], "rb").read())
(start,), (size, count) = struct.unpack_from("<Q", data, 32), struct.unpack_from("<HH", data, 54)
(header,) = [at for at in range(start, start + size * count, size) if struct.unpack_from("<I", data, at)[0] == GNU_STACK]
for name, kind, flags in (("rwe", GNU_STACK, RWE), ("none", NULL, 0)):
    struct.pack_into("<II", data, header, kind, flags)
    open(f"{sys.argv[2]}/{name}.so", "wb").write(data)
END
}

# perl of the tree, which opens the library that it is given, with a variable in its environment.
perl() {
    env "$1" PERL5LIB="$(echo "$own"/perl-base)" \
        "$tree/lib64/ld-linux-x86-64.so.2" --library-path "$own" "$tree/usr/bin/perl" "$folder/opens.pl" "$2"
}

experiment() {
    own=$(echo "$tree"/usr/lib/*-linux-gnu)
    change "$own/libz.so.1" "$tree"
    for name in rwe none; do
        echo "opens $name: $(perl A=1 "$tree/$name.so")"
        echo "starts with $name: $(perl LD_PRELOAD="$tree/$name.so" libz.so.1)"
    done
    echo "starts with none, opens rwe: $(perl LD_PRELOAD="$tree/none.so" "$tree/rwe.so")"
    echo "execstack=2, opens rwe: $(perl GLIBC_TUNABLES=glibc.rtld.execstack=2 "$tree/rwe.so")"
}

mirror=$(apt-get indextargets --format '$(REPO_URI)|$(RELEASE)|$(COMPONENT)' 2>&1 | sed -n 's/|[^|-]*|main$//p' | head -n 1)
[ -n "$mirror" ] || untried "apt names no Debian archive"
folder=$(mktemp -d /tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
trap 'exit 2' HUP INT TERM
cat >"$folder/opens.pl" <<'END'
require DynaLoader;
$said = "done";
DynaLoader::dl_load_file($ARGV[0]) or ($said = DynaLoader::dl_error()) =~ s/.*: (cannot.*) at .*\n/$1/;
open my $maps, "<", "/proc/self/maps";
my ($stack) = map /\S+ (\S+) .*\[stack\]/, <$maps>;
print "$said, stack $stack\n";
END
unpack bookworm $bookworm
unpack trixie $trixie
for release in bookworm trixie; do
    tree=$folder/$release
    echo "$release"
    experiment
done >"$folder/seen"
cat >"$folder/described" <<END
bookworm
opens rwe: done, stack rwxp
starts with rwe: done, stack rwxp
opens none: done, stack rwxp
starts with none: done, stack rwxp
starts with none, opens rwe: done, stack rwxp
execstack=2, opens rwe: done, stack rwxp
trixie
opens rwe: cannot enable executable stack as shared object requires: Invalid argument, stack rw-p
starts with rwe: done, stack rwxp
opens none: cannot enable executable stack as shared object requires: Invalid argument, stack rw-p
starts with none: done, stack rwxp
starts with none, opens rwe: done, stack rwxp
execstack=2, opens rwe: done, stack rwxp
END
cat "$folder/seen"
diff -u "$folder/described" "$folder/seen" || { echo "no longer as described" && exit 1; }
echo "as described"
