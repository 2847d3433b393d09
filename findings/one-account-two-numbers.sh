#!/bin/sh
# The same account of the same package has another number on Debian 13 than on Debian 12.
#
# Tools     openssh-server of Debian 12 (9.2p1), whose postinst calls adduser 3.134, and of Debian 13 (10.0p1), which has a file
#           for systemd-sysusers 257.
# Expected  Debian's policy (9.2.2) has one range for both, 100 to 999, and on a new system the first account of a package gets the
#           first free number of it: the same on the next release.
# Seen      sshd, made on a system with the accounts of base-passwd only, as each package asks for it:
#           - Debian 12: 100. adduser takes the first free number from 100 up;
#           - Debian 13: 999. systemd-sysusers takes the first free one from 999 down.
#           The next account that is made so gets 101 and 998. Packages of Debian 13 that still call adduser count up.
# So        Files carry numbers. Data, archives and images that were written under one release's system and are mounted under
#           the other's belong to another account, or to nobody, though /etc/passwd has the name in both.
# In jaild  jaild/model/etc/renumber.py; ACCOUNT_RENUMBERED in docs/source-team.md.
# Run       as root. Status 0: as described; 1: no longer so; 2: it cannot be tried here.
set -eu
bookworm="openssh-server=1:9.2p1-2+deb12u10 adduser=3.134"
trixie="openssh-server=1:10.0p1-7+deb13u4 systemd-standalone-sysusers=257.13-1~deb13u1 libc6=2.41-12+deb13u5
    libcap2=1:2.75-10+deb13u1+b3 libcrypt1=1:4.4.38-1 libselinux1=3.8.1-1 libpcre2-8-0=10.46-1~deb13u3"

untried() {
    echo "it cannot be tried here: $*" >&2
    exit 2
}

# Packages of a Debian release in a tree, by apt with lists of its own; their scripts in its folder "scripts".
unpack() {
    release=$1
    shift
    tree=$folder/$release
    mkdir -p "$folder/lists/partial" "$folder/debs" "$tree/usr/sbin" "$tree/usr/bin" "$tree/usr/lib" "$tree/usr/lib64"
    (cd "$tree" && ln -s usr/bin usr/sbin usr/lib usr/lib64 .)
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main" >"$folder/sources.list"
    apt="apt-get -qq -o APT::Sandbox::User=root -o Dir::State::Lists=$folder/lists -o Dir::State::status=/dev/null
        -o Dir::Etc::sourcelist=$folder/sources.list -o Dir::Etc::sourceparts=/dev/null -o Dir::Cache=$folder/debs"
    $apt update && (cd "$folder/debs" && $apt download "$@") || untried "no $*"
    for package in "$folder"/debs/*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$tree"
    done
    dpkg-deb --control "$folder"/debs/openssh-server_*.deb "$tree/scripts"
    rm -r "$folder/debs" "$folder/lists"
}

# In a namespace of its own, with an /etc that has the accounts of base-passwd only.
accounts_of_base_passwd() {
    mount -t tmpfs none "$1"
    cp /usr/share/base-passwd/passwd.master "$1/passwd"
    cp /usr/share/base-passwd/group.master "$1/group"
    sed 's/:.*/:*:19000:0:99999:7:::/' "$1/passwd" >"$1/shadow"
    sed 's/:.*/:*::/' "$1/group" >"$1/gshadow"
}

number() {
    echo "$1: $2 has $(sed -n "s/^$2:[^:]*:\([0-9]*\):.*/\1/p" "$3/passwd")"
}

made_by_adduser() {
    tree=$folder/bookworm
    line=$(sed -n 's/^[[:space:]]*adduser \(.*\) sshd$/\1/p' "$tree/scripts/postinst")
    cp /etc/login.defs "$folder/login.defs"
    accounts_of_base_passwd /etc
    cp "$folder/login.defs" /etc
    for name in sshd second; do
        perl -I "$tree/usr/share/perl5" "$tree/usr/sbin/adduser" --conf /dev/null $line "$name"
        number "Debian 12, adduser" "$name" /etc
    done
}

made_by_sysusers() {
    tree=$folder/trixie
    mkdir -p "$tree/etc"
    accounts_of_base_passwd "$tree/etc"
    sed 's/sshd/second/' "$tree/usr/lib/sysusers.d/openssh-server.conf" >"$folder/second.conf"
    for name in openssh-server second; do
        file=$tree/usr/lib/sysusers.d/$name.conf
        [ "$name" = openssh-server ] || file=$folder/second.conf
        "$tree/lib64/ld-linux-x86-64.so.2" --library-path "$(echo "$tree"/usr/lib/*-linux-gnu)" \
            "$tree"/usr/bin/systemd-sysusers* --root="$tree" - <"$file" 2>"$folder/said" || cat "$folder/said"
    done
    for name in sshd second; do
        number "Debian 13, systemd-sysusers" "$name" "$tree/etc"
    done
}

if [ $# = 2 ]; then
    folder=$2
    made_by_sysusers
    made_by_adduser
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
unshare --mount --propagation private sh "$0" inside "$folder" >"$folder/seen" 2>&1 || echo "status $?" >>"$folder/seen"
cat >"$folder/described" <<END
Debian 13, systemd-sysusers: sshd has 999
Debian 13, systemd-sysusers: second has 998
Debian 12, adduser: sshd has 100
Debian 12, adduser: second has 101
END
cat "$folder/seen"
diff -u "$folder/described" "$folder/seen" || { echo "no longer as described" && exit 1; }
echo "as described"
