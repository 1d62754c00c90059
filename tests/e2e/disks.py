"""File systems made for one test."""

import contextlib
import subprocess

import pytest


@contextlib.contextmanager
def tmpfs(path, options):
    """A small file system of its own at `path`."""
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", path], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a tmpfs: " + mounted.stderr.strip())
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)
