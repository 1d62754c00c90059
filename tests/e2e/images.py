"""OCI image layouts made without a network."""

import hashlib
import io
import json
import os
import tarfile

MIB = 1024 * 1024
OCI = "application/vnd.oci.image."


def layer_tar(name, size):
    """A tar layer with one file of random bytes."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size = size
        tar.addfile(info, io.BytesIO(os.urandom(size)))
    return layer.getvalue()


def write_layout(path, layers=None, tag="v1"):
    """An image of the given tar layers (default: one of 20 MiB); returns the digest of its manifest."""
    blobs = path / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data):
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    refs = [put(layer) for layer in layers or [layer_tar("random", 20 * MIB)]]
    config = put(json.dumps({"architecture": "amd64", "os": "linux", "config": {},
                             "rootfs": {"type": "layers", "diff_ids": [ref["digest"] for ref in refs]}}).encode())
    manifest = put(json.dumps({
        "schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
        "config": {"mediaType": OCI + "config.v1+json", **config},
        "layers": [{"mediaType": OCI + "layer.v1.tar", **ref} for ref in refs]}).encode())
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [
        {"mediaType": OCI + "manifest.v1+json", **manifest,
         "annotations": {"org.opencontainers.image.ref.name": tag}}]}))
    (path / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    return manifest["digest"]
