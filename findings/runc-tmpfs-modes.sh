#!/bin/sh
# runc gives a tmpfs the mode of the folder beneath instead of the mode that is asked for, and tmpcopyup changes modes.
#
# Tools     runc 1.1.5+ds1-1+deb12u1 of Debian 12.
# Expected  A mount {type: tmpfs, options: [mode=700]} of a config.json has the mode 700, as with mount(8). With tmpcopyup,
#           "copy up the contents to a tmpfs" (runc's manual), folders keep owner and mode.
# Seen      Over a folder of mode 755 the tmpfs has 755, whatever `mode` says; only where the destination is missing, and
#           runc makes it, `mode` counts. Folders that tmpcopyup has copied keep owner and sticky bit, but lose the set-gid
#           bit and, by runc's umask of 022, their group's and others' write bits: 2775 becomes 755, 1777 becomes 1755.
# So        /run with /run/lock, or a spool that services share, cannot be made by a config.json alone: a user who is not
#           root cannot write where he could in the image. Make the folders from outside, in /proc/PID/root, while the
#           container is created and not started; or in its first process.
# In jaild  jaild/adapters/oci/run_folder.py; tests/contract/test_runtime_oci.py,
#           test_run_is_a_tmpfs_with_the_folders_of_the_base_at_each_start.
# Run       as root, where containers can be run. Status 0: as described; 1: no longer so; 2: it cannot be tried here.
set -eu
packages="runc=1.1.5+ds1-1+deb12u1 busybox-static=1:1.35.0-4+deb12u1+b1"

untried() {
    echo "it cannot be tried here: $*" >&2
    exit 2
}

[ "$(id -u)" = 0 ] || untried "it needs root"
folder=$(mktemp -d /tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
trap 'exit 2' HUP INT TERM
(cd "$folder" && apt-get -qq -o APT::Sandbox::User=root download $packages) || untried "no $packages"
for package in "$folder"/*.deb; do dpkg-deb -x "$package" "$folder/packages"; done
rootfs=$folder/rootfs
mkdir -p "$rootfs/proc" "$rootfs/bin" "$rootfs/asked" "$rootfs/copied/shared" "$rootfs/copied/lock"
cp "$folder/packages/bin/busybox" "$rootfs/bin/busybox"
chown 1:2 "$rootfs/copied/shared"
chmod 2775 "$rootfs/copied/shared"
chmod 1777 "$rootfs/copied/lock"
cat >"$folder/config.json" <<'END'
{
  "ociVersion": "1.0.2",
  "process": {
    "user": {"uid": 0, "gid": 0},
    "args": ["/bin/busybox", "stat", "-c", "%n %a %u:%g", "/asked", "/new", "/copied", "/copied/lock", "/copied/shared"],
    "cwd": "/"
  },
  "root": {"path": "rootfs"},
  "mounts": [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/asked", "type": "tmpfs", "source": "tmpfs", "options": ["mode=700"]},
    {"destination": "/new", "type": "tmpfs", "source": "tmpfs", "options": ["mode=700"]},
    {"destination": "/copied", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755", "tmpcopyup"]}
  ],
  "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}]}
}
END
runc=$folder/packages/usr/sbin/runc
"$runc" --root "$folder/state" run --bundle "$folder" "finding-$$" >"$folder/seen" 2>"$folder/said" ||
    untried "$(cat "$folder/said")"
cat >"$folder/described" <<'END'
/asked 755 0:0
/new 700 0:0
/copied 755 0:0
/copied/lock 1755 0:0
/copied/shared 755 1:2
END
"$runc" --version | head -n 1
cat "$folder/seen"
diff -u "$folder/described" "$folder/seen" || { echo "no longer as described" && exit 1; }
echo "as described"
