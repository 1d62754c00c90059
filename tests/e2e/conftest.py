import os
import shutil
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))


@pytest.fixture(autouse=True)
def emptied(tmp_path):
    """Blobs of gigabytes do not stay behind: pytest itself keeps the folders of three runs."""
    yield
    shutil.rmtree(tmp_path, ignore_errors=True)
