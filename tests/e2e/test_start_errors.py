"""A process that cannot start says why in one line that names the thing and the way out."""

import socket
import subprocess

import pytest

import cluster
import disks

PORTS = {"agent": ["--peer-port=0", "--agent-registry-port=0", "--agent-server-port=0"],
         "origin": ["--peer-port=0", "--blobserver-port=0"],
         "proxy": ["--port=0"], "build-index": ["--port=0"], "tracker": ["--port=0"]}


def refusal(status, *flags):
    """The one line on stderr of a process that must end with `status`."""
    done = subprocess.run([cluster.KRAKEND, *flags], capture_output=True, text=True, timeout=20)
    assert done.returncode == status, (done.returncode, done.stderr)
    assert done.stderr.endswith("\n") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.mark.parametrize("flags, words", [
    (["--role=nonsense"], ["nonsense", "roles are agent, origin"]),
    (["--role=agent", "--no-such-flag"], ["no-such-flag", "--help"]),
    (["--role=agent", "--peer-port=99999"], ["--peer-port", "99999", "0 to 65535"]),
    ([], ["--role", "herd"]),
])
def test_usage(flags, words):
    line = refusal(2, *flags)
    assert all(word in line for word in words), line


@pytest.mark.parametrize("text, words", [
    (b"trackerserver:\n  - [unclosed\n", ["bad.yaml:3", "YAML"]),
    (b"\x00\x01\xff", ["bad.yaml:1"]),
    (b"trackerserver:\n  anounce_limit: 5\n", ["bad.yaml:2", "announce_limit"]),
])
def test_malformed_configuration(tmp_path, text, words):
    (tmp_path / "bad.yaml").write_bytes(text)
    line = refusal(1, "--role=tracker", f"--config={tmp_path}/bad.yaml")
    assert all(word in line for word in words), line


@pytest.mark.parametrize("name", ["gone.yaml", "."])
def test_unreadable_configuration(tmp_path, name):
    path = str(tmp_path / name) if name != "." else str(tmp_path)
    line = refusal(1, "--role=agent", f"--config={path}")
    assert path in line and "--config" in line, line


@pytest.mark.parametrize("role", PORTS)
def test_port_in_use(tmp_path, role):
    flag = PORTS[role][-1]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        flags = [*PORTS[role][:-1], flag.replace("=0", f"={port}")]
        line = refusal(1, f"--role={role}", f"--data-dir={tmp_path}/d", "--listen-address=127.0.0.1", *flags)
    assert f"127.0.0.1:{port} is in use" in line and "choose another port" in line, line


@pytest.mark.parametrize("role", [role for role in PORTS if role != "tracker"])  # a tracker stores nothing
def test_read_only_data_directory(tmp_path, role):
    with disks.tmpfs(tmp_path / "disk", "ro") as disk:
        line = refusal(1, f"--role={role}", f"--data-dir={disk}/d", "--listen-address=127.0.0.1", *PORTS[role])
    assert f"{disk}/d" in line and "cannot be written" in line and "--data-dir" in line, line


def test_file_in_place_of_the_data_directory(tmp_path):
    (tmp_path / "file").write_text("")
    line = refusal(1, "--role=origin", f"--data-dir={tmp_path}/file", "--listen-address=127.0.0.1", *PORTS["origin"])
    assert f"{tmp_path}/file" in line and "cannot be written" in line and "--data-dir" in line, line
