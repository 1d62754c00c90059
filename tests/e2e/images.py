"""OCI image layouts made without a network."""

import gzip
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


class Layout:
    """An OCI image layout that is being written."""

    def __init__(self, path):
        self.path = path
        self.blobs = path / "blobs" / "sha256"
        self.blobs.mkdir(parents=True)
        self.tags = []
        (path / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))

    def put(self, data):
        digest = hashlib.sha256(data).hexdigest()
        (self.blobs / digest).write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    def take_file(self, path):
        """As put(), of a file that is too large to be read at once: it is moved here."""
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = os.path.getsize(path)
        os.rename(path, self.blobs / digest)
        return {"digest": f"sha256:{digest}", "size": size}

    def put_json(self, media_type, document):
        return {"mediaType": media_type, **self.put(json.dumps(document).encode())}

    def put_image(self, layers, architecture="amd64", compressed=False):
        """Descriptor of an image of the given tar layers."""
        refs = [self.put(gzip.compress(layer, 1, mtime=0) if compressed else layer) for layer in layers]
        diff_ids = ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]
        return self.put_manifest(refs, diff_ids, OCI + "layer.v1.tar" + ("+gzip" if compressed else ""), architecture)

    def put_manifest(self, refs, diff_ids, layer_type=OCI + "layer.v1.tar", architecture="amd64"):
        config = self.put_json(OCI + "config.v1+json", {
            "architecture": architecture, "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": diff_ids}})
        return self.put_json(OCI + "manifest.v1+json", {
            "schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "config": config,
            "layers": [{"mediaType": layer_type, **ref} for ref in refs]})

    def tag(self, descriptor, tag):
        self.tags.append({**descriptor, "annotations": {"org.opencontainers.image.ref.name": tag}})
        (self.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": self.tags}))
        return descriptor["digest"]


def write_layout(path, layers=None, tag="v1", compressed=False):
    """An image of the given tar layers (default: one of 20 MiB); returns the digest of its manifest."""
    layout = Layout(path)
    return layout.tag(layout.put_image(layers or [layer_tar("random", 20 * MIB)], compressed=compressed), tag)


def write_index_layout(path, tag="multi"):
    """An index of two images, for two architectures, with compressed layers; returns its digest."""
    layout = Layout(path)
    shared = layer_tar("shared", MIB)
    manifests = [{**layout.put_image([shared, layer_tar(architecture, MIB)], architecture, True),
                  "platform": {"os": "linux", "architecture": architecture}} for architecture in ("amd64", "arm64")]
    return layout.tag(layout.put_json(OCI + "index.v1+json", {
        "schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": manifests}), tag)
