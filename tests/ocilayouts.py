"""OCI image layouts made by hand for tests, wrong ones among them."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.tars import Item, pack

LAYER = "application/vnd.oci.image.layer.v1.tar"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
REFERENCE = "org.opencontainers.image.ref.name"


class Layout:
    """A layout folder that is being filled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._unpacked: dict[str, str] = {}  # digest of a layer: that of the tar in it
        (folder / "blobs/sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def blob(self, data: bytes, media_type: str, **more: Any) -> dict[str, Any]:
        """Add a blob; return its descriptor."""
        name = sha256(data).hexdigest()
        (self.folder / "blobs/sha256" / name).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(data), **more}

    def document(self, content: Mapping[str, Any], media_type: str, **more: Any) -> dict[str, Any]:
        return self.blob(json.dumps(content).encode(), media_type, **more)

    def layer(self, *items: Item, form: str = "gzip") -> dict[str, Any]:
        """Add a layer; `form` is how it is compressed: gzip, zstd, or nothing."""
        plain = pack(self.folder / "layer.tar", *items)
        data = plain.read_bytes()
        plain.unlink()
        unpacked = sha256(data).hexdigest()
        if form == "gzip":
            data = gzip.compress(data)
        elif form == "zstd":
            data = subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True).stdout
        made = self.blob(data, f"{LAYER}+{form}" if form else LAYER)
        self._unpacked[made["digest"]] = f"sha256:{unpacked}"
        return made

    def image(self, *layers: dict[str, Any], os: str = "linux", machine: str = "amd64", **more: Any) -> dict[str, Any]:
        """Add an image of these layers; return its manifest's descriptor."""
        unpacked = [self._unpacked[layer["digest"]] for layer in layers if layer["digest"] in self._unpacked]
        config = {"os": os, "architecture": machine, "rootfs": {"type": "layers", "diff_ids": unpacked}}
        described = self.document(config, "application/vnd.oci.image.config.v1+json")
        manifest = {"schemaVersion": 2, "config": described, "layers": list(layers)}
        return self.document(manifest, MANIFEST, **more)

    def index(self, manifests: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Add an index below index.json; return its descriptor."""
        return self.document({"schemaVersion": 2, "manifests": list(manifests)}, INDEX)

    def finish(self, *manifests: dict[str, Any]) -> Path:
        """Write index.json; return the folder."""
        (self.folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": list(manifests)}))
        return self.folder


def platform(os: str, machine: str) -> dict[str, Any]:
    return {"platform": {"os": os, "architecture": machine}}


def named(reference: str) -> dict[str, Any]:
    return {"annotations": {REFERENCE: reference}}
