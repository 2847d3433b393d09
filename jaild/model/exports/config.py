"""A jail's configuration as the section of an export: a tar of `etc/` and `usr-local-etc/`."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping

from jaild.model import bounds, layout
from jaild.model.etc.tree import Entry, Kind, Tree
from jaild.model.exports.header import damaged

_KINDS = {Kind.FILE: tarfile.REGTYPE, Kind.LINK: tarfile.SYMTYPE, Kind.DIRECTORY: tarfile.DIRTYPE}
_OF = {kind: word for word, kind in _KINDS.items()}
_MODE = 0o7777
MOST = 3 * bounds.TREE_BYTES  # bytes of the tar: two trees, and what their headers take


def packed(etc: Tree, local_etc: Tree) -> bytes:
    """Return the tar."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for folder, tree in ((layout.ETC, etc), (layout.LOCAL_ETC, local_etc)):
            for path, entry in sorted(tree.items()):
                info = tarfile.TarInfo(f"{folder}/{path}")
                info.type, info.mode, info.uid, info.gid = _KINDS[entry.kind], entry.mode, entry.uid, entry.gid
                info.mtime, info.linkname, info.size = entry.mtime // 10**9, entry.target, len(entry.content)
                tar.addfile(info, io.BytesIO(entry.content))
    return stream.getvalue()


def unpacked(content: bytes) -> tuple[Tree, Tree]:
    """Return both trees, of whoever wrote them. `DataLossError` (EXPORT_DAMAGED) for what is no such tar."""
    trees: Mapping[str, dict[str, Entry]] = {layout.ETC: {}, layout.LOCAL_ETC: {}}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
            for info in tar:
                folder, _, path = info.name.partition("/")
                trees[folder][_checked(path, trees[folder])] = _entry(tar, info)
    except (tarfile.TarError, KeyError, ValueError, OverflowError) as error:
        raise damaged(f"its configuration cannot be read: {error}") from error
    for tree in trees.values():
        if sum(bounds.TREE_ENTRY + len(path) + len(entry.content) for path, entry in tree.items()) > bounds.TREE_BYTES:
            raise damaged("its configuration is too large")
    return trees[layout.ETC], trees[layout.LOCAL_ETC]


def _checked(path: str, tree: Tree) -> str:
    """Return a path whose folders came before it, so that it leads nowhere else."""
    parts = path.split("/")
    if not path or any(part in {"", ".", ".."} for part in parts) or "\0" in path or len(parts) > bounds.TREE_DEPTH:
        raise ValueError(f"{path!r} is no path")
    above = path.rpartition("/")[0]
    if path in tree or (above and (above not in tree or tree[above].kind is not Kind.DIRECTORY)):
        raise ValueError(f"{path!r} is there twice, or in no folder")
    return path


def _entry(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Entry:
    content = tar.extractfile(info) if info.isreg() else None
    return Entry(
        kind=_OF[info.type],
        mode=info.mode & _MODE,
        uid=info.uid,
        gid=info.gid,
        content=content.read() if content is not None else b"",
        target=info.linkname if info.issym() else "",
        mtime=int(info.mtime) * 10**9,
    )
