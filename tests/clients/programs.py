"""The clients: what each is called with to push, pull and list. Every one works on an OCI image layout."""

import json
import os
import shutil
import subprocess
import tempfile
import time

import pytest

import tools

LIMIT = 180


def run(*command, check=True, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=LIMIT, **options)
    assert not check or done.returncode == 0, f"{command}: {done.stderr[-2000:]}{done.stdout[-500:]}"
    return done


def program(name, *needs):
    for wanted in (name, *needs):
        if shutil.which(wanted) is None:
            pytest.skip(f"{wanted} is not installed")
    return name


def layout_digest(path):
    """The digest of what a client has put into a layout as "x", or of all there is."""
    entries = json.loads((path / "index.json").read_text())["manifests"]
    named = [entry for entry in entries if "x" in entry.get("annotations", {}).values()]
    assert len(named or entries) == 1, entries
    return (named or entries)[0]["digest"]


class Client:
    """`push` and `pull` take a layout and a reference; a pull returns the digest of what was pulled."""

    keeps_digests = True

    def __init__(self, folder):
        self.folder = folder
        self.pulls = 0

    def fresh(self):
        self.pulls += 1
        return self.folder / f"pulled{self.pulls}"

    def close(self):
        pass


class Skopeo(Client):
    def __init__(self, folder):
        super().__init__(folder)
        self.name = program("skopeo")

    def version(self):
        return run("skopeo", "--version").stdout.split()[-1]

    def copy(self, *arguments):
        run("skopeo", "copy", "--insecure-policy", "--preserve-digests", "--src-tls-verify=false",
            "--dest-tls-verify=false", "-q", *arguments)

    def push(self, layout, tag, reference):
        self.copy(f"oci:{layout}:{tag}", f"docker://{reference}")

    def pull(self, reference):
        out = self.fresh()
        self.copy(f"docker://{reference}", f"oci:{out}:x")
        return layout_digest(out)

    def push_index(self, layout, tag, reference):
        self.copy("--all", f"oci:{layout}:{tag}", f"docker://{reference}")

    def pull_index(self, reference):
        out = self.fresh()
        self.copy("--all", f"docker://{reference}", f"oci:{out}:x")
        return layout_digest(out)

    def tags(self, repo):
        return json.loads(run("skopeo", "list-tags", "--tls-verify=false", f"docker://{repo}").stdout)["Tags"]


class Containers(Client):
    """podman and buildah: they keep images unpacked, and compress the layers anew when they push."""

    keeps_digests = False
    name = ""

    def __init__(self, folder):
        super().__init__(folder)
        program(self.name)
        # The run root has at most 50 characters, so it cannot be in the test's folder.
        self.runroot = tempfile.mkdtemp(prefix="clients-")
        self.command = [self.name, "--root", folder / "root", "--runroot", self.runroot, "--storage-driver", "vfs"]

    def version(self):
        return run(self.name, "--version").stdout.split()[2]

    def call(self, *arguments, check=True):
        return run(*self.command, *arguments, check=check)

    def push(self, layout, tag, reference):
        image = self.call("pull", "-q", f"oci:{layout}:{tag}").stdout.split()[-1]
        self.call("push", "-q", "--tls-verify=false", image, f"docker://{reference}")
        self.call("rmi", "-f", image)

    def pull(self, reference):
        """The digest of the image's config, which no compression changes."""
        image = self.call("pull", "-q", "--tls-verify=false", reference).stdout.split()[-1]
        self.call("rmi", "-f", image)
        return "sha256:" + image

    def push_index(self, layout, tag, reference):
        entries = json.loads((layout / "index.json").read_text())["manifests"]
        index = json.loads((layout / "blobs" / "sha256" / entries[0]["digest"][7:]).read_text())
        self.call("manifest", "create", "list")
        for entry in index["manifests"]:
            self.call("manifest", "add", "--all", "list", f"oci:{layout}:{tag}")
            break
        self.call("manifest", "push", "--all", "--tls-verify=false", "list", f"docker://{reference}")
        self.call("manifest", "rm", "list", check=False)

    def close(self):
        subprocess.run(["umount", self.folder / "root" / "vfs"], capture_output=True)
        shutil.rmtree(self.runroot, ignore_errors=True)


class Podman(Containers):
    name = "podman"

    def tags(self, repo):
        lines = self.call("search", "--list-tags", "--tls-verify=false", repo).stdout.splitlines()[1:]
        return [line.split()[1] for line in lines]


class Buildah(Containers):
    name = "buildah"


class Daemon:
    """A process that answers on a socket after a while."""

    def __init__(self, command, log, alive, **options):
        self.log = open(log, "wb")
        self.process = subprocess.Popen([str(part) for part in command], stdout=self.log, stderr=self.log, **options)
        limit = time.monotonic() + 60
        while alive().returncode != 0:
            if self.process.poll() is not None or time.monotonic() > limit:
                self.stop()
                pytest.skip(f"{command[0]} does not start here: {open(log, errors='replace').read()[-300:]}")
            time.sleep(0.1)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        self.log.close()


class Docker(Client):
    """A dockerd of its own without a network; the registry is insecure for it, being on 127.0.0.0/8."""

    keeps_digests = False

    def __init__(self, folder):
        super().__init__(folder)
        self.name = program("docker", "dockerd", "containerd", "skopeo")
        if os.geteuid() != 0:
            pytest.skip("dockerd needs root")
        self.home = tempfile.mkdtemp(prefix="dockerd-")  # a socket's path has at most 108 characters
        self.command = ["docker", "-H", f"unix://{self.home}/docker.sock"]
        self.environment = {**os.environ, "DOCKER_CONFIG": self.home, "DOCKER_CLI_EXPERIMENTAL": "enabled"}
        self.daemon = None

    def start(self, *flags):
        self.daemon = Daemon(
            ["dockerd", "--iptables=false", "--ip-masq=false", "--ip-forward=false", "--bridge=none", "-H",
             f"unix://{self.home}/docker.sock", "--data-root", f"{self.home}/data", "--exec-root",
             f"{self.home}/exec", "-p", f"{self.home}/pid", "--storage-driver=vfs", *flags],
            f"{self.home}/log", lambda: self.call("version", check=False))

    def version(self):
        return run("dockerd", "--version").stdout.split()[2].rstrip(",")

    def call(self, *arguments, check=True):
        return run(*self.command, *arguments, check=check, env=self.environment)

    def push(self, layout, tag, reference):
        if self.daemon is None:
            self.start()
        archive = self.fresh()
        run("skopeo", "copy", "--insecure-policy", "-q", f"oci:{layout}:{tag}",
            f"docker-archive:{archive}:loaded:{tag}")
        self.call("load", "-q", "-i", archive)
        self.call("tag", f"loaded:{tag}", reference)
        self.call("push", "-q", reference)
        self.call("rmi", "-f", f"loaded:{tag}", reference)

    def pull(self, reference):
        self.call("pull", "-q", reference)
        image = self.call("image", "inspect", "-f", "{{.Id}}", reference).stdout.strip()
        self.call("rmi", "-f", image)
        return image

    def close(self):
        if self.daemon:
            self.daemon.stop()
        shutil.rmtree(self.home, ignore_errors=True)


class Ctr(Client):
    def __init__(self, folder):
        super().__init__(folder)
        self.name = program("ctr", "containerd")
        if os.geteuid() != 0:
            pytest.skip("containerd needs root")
        self.home = tempfile.mkdtemp(prefix="containerd-")
        with open(f"{self.home}/config.toml", "w") as config:
            config.write(f'''version = 2
root = "{self.home}/data"
state = "{self.home}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
  address = "{self.home}/socket"
''')
        self.daemon = Daemon(["containerd", "--config", f"{self.home}/config.toml"], f"{self.home}/log",
                             lambda: self.call("version", check=False))

    def version(self):
        return run("containerd", "--version").stdout.split()[2]

    def call(self, *arguments, check=True):
        return run("ctr", "--address", f"{self.home}/socket", *arguments, check=check)

    def push(self, layout, tag, reference):
        archive = self.fresh()
        run("tar", "-C", layout, "-cf", archive, ".")
        self.call("images", "import", "--all-platforms", "--no-unpack", "--base-name", "imported", archive)
        self.call("images", "push", "--plain-http", reference, f"imported:{tag}")
        self.forget()

    def forget(self):
        names = self.call("images", "ls", "-q").stdout.split()
        if names:
            self.call("images", "rm", "--sync", *names)

    def pull(self, reference):
        self.call("content", "fetch", "--plain-http", reference)
        digest = self.call("images", "ls", f"name=={reference}").stdout.splitlines()[1].split()[2]
        self.forget()
        return digest

    push_index = push

    def pull_index(self, reference):
        self.call("content", "fetch", "--all-platforms", "--plain-http", reference)
        digest = self.call("images", "ls", f"name=={reference}").stdout.splitlines()[1].split()[2]
        self.forget()
        return digest

    def close(self):
        self.daemon.stop()
        shutil.rmtree(self.home, ignore_errors=True)


class Crane(Client):
    def __init__(self, folder):
        super().__init__(folder)
        self.name = tools.installed(tools.CRANE)

    def version(self):
        return tools.CRANE.split("@")[1]

    def push(self, layout, tag, reference):
        run(self.name, "push", "--insecure", layout, reference)

    def pull(self, reference):
        run(self.name, "validate", "--insecure", "--remote", reference)
        out = self.fresh()
        run(self.name, "pull", "--insecure", "--format=oci", reference, out)
        return layout_digest(out)

    def push_index(self, layout, tag, reference):
        """crane pushes the index of the layout itself, so what is in it is copied from another repository."""
        Skopeo(self.folder).push_index(layout, tag, reference.replace("/crane", "/for-crane"))
        run(self.name, "copy", "--insecure", reference.replace("/crane", "/for-crane"), reference)

    def pull_index(self, reference):
        run(self.name, "validate", "--insecure", "--remote", reference)
        return run(self.name, "digest", "--insecure", reference).stdout.strip()

    def tags(self, repo):
        return run(self.name, "ls", "--insecure", repo).stdout.split()


class Oras(Client):
    def __init__(self, folder):
        super().__init__(folder)
        self.name = tools.installed(tools.ORAS)

    def version(self):
        return tools.ORAS.split("@")[1]

    def push(self, layout, tag, reference):
        run(self.name, "cp", "--from-oci-layout", f"{layout}:{tag}", "--to-plain-http", reference)

    def pull(self, reference):
        out = self.fresh()
        run(self.name, "cp", "--from-plain-http", reference, "--to-oci-layout", f"{out}:x")
        return layout_digest(out)

    push_index = push
    pull_index = pull

    def tags(self, repo):
        return run(self.name, "repo", "tags", "--plain-http", repo).stdout.split()


class Regctl(Client):
    def __init__(self, folder):
        super().__init__(folder)
        self.name = tools.installed(tools.REGCTL)
        self.environment = {**os.environ, "REGCTL_CONFIG": str(folder / "regctl.json")}

    def version(self):
        return tools.REGCTL.split("@")[1]

    def call(self, *arguments):
        return run(self.name, *arguments, env=self.environment)

    def trust(self, host):
        self.call("registry", "set", "--tls", "disabled", host)

    def push(self, layout, tag, reference):
        self.trust(reference.split("/")[0])
        self.call("image", "copy", f"ocidir://{layout}:{tag}", reference)

    def pull(self, reference):
        self.trust(reference.split("/")[0])
        out = self.fresh()
        self.call("image", "copy", reference, f"ocidir://{out}:x")
        return layout_digest(out)

    push_index = push
    pull_index = pull

    def tags(self, repo):
        return self.call("tag", "ls", repo).stdout.split()


ALL = [Skopeo, Podman, Buildah, Docker, Ctr, Crane, Oras, Regctl]
