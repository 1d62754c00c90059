"""TLS on every role: who may do what with which certificate (contract config-ops §4, §5.3, §5.8)."""

import hashlib
import http.client
import os
import re
import socket
import ssl
import subprocess

import pytest

import cluster
import metrics_page
from images import MIB, write_layout
from pki import Pki

HOST = "127.0.0.1"
ELSEWHERE = "127.0.0.2"  # a client from here is not exempt
SECURED = ("origin blobserver", "tracker api", "build-index api", "proxy registry", "agent registry")


class Site:
    """One process a role, all with TLS at both sides."""

    def __init__(self, folder):
        self.pki = Pki(folder / "pki")
        self.folder = folder
        self.ports = {}
        self.processes = []
        self.origin = self.start("origin", f"--peer-ip={HOST}", "--peer-port=0", "--blobserver-port=0")
        origin = f"--origin={self.at('origin blobserver')}"
        self.start("tracker", "--port=0", origin)
        self.start("build-index", "--port=0", origin)
        tags = f"--build-index={self.at('build-index api')}"
        self.proxy = self.start("proxy", "--port=0", origin, tags)
        self.agent = self.start("agent", f"--peer-ip={HOST}", "--peer-port=0", "--agent-registry-port=0",
                                "--agent-server-port=0", f"--tracker={self.at('tracker api')}", tags)

    def start(self, role, *flags):
        config = self.folder / f"{role}.yaml"
        config.write_text(self.pki.block())
        process = cluster.Process(role, self.folder / role, f"--listen-address={HOST}", f"--config={config}", *flags)
        self.processes.append(process)
        self.ports.update(process.ports)
        return process

    def at(self, port):
        return "%s:%d" % self.ports[port]

    def ask(self, port, method, path, context=None, source=HOST, body=None, headers=None):
        """Status and body over TLS; over plain HTTP without `context`."""
        host, number = self.ports[port]
        if context is None:
            connection = http.client.HTTPConnection(host, number, timeout=20, source_address=(source, 0))
        else:
            connection = http.client.HTTPSConnection(host, number, timeout=20, source_address=(source, 0),
                                                     context=context)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def close(self):
        for process in reversed(self.processes):
            process.stop()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    started = Site(tmp_path_factory.mktemp("tls"))
    yield started
    started.close()


def skopeo(*arguments):
    subprocess.run(["skopeo", "copy", "--insecure-policy", *arguments], check=True, timeout=120,
                   stdout=subprocess.DEVNULL)


def test_skopeo_pushes_and_pulls_with_verification(site, tmp_path):
    certificates = site.pki.cert_dir(tmp_path / "certs")
    write_layout(tmp_path / "image")
    skopeo(f"--dest-cert-dir={certificates}", f"oci:{tmp_path}/image:v1",
           f"docker://{site.at('proxy registry')}/t/app:v1")
    skopeo(f"--src-cert-dir={certificates}", f"docker://{site.at('agent registry')}/t/app:v1",
           f"dir:{tmp_path}/out")
    pulled = [name for name in os.listdir(tmp_path / "out") if len(name) == 64]
    assert len(pulled) == 2  # config and layer; the manifest has a name of its own
    for name in pulled:
        assert hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() == name


@pytest.mark.parametrize("port", SECURED)
def test_plain_http_on_a_tls_port_is_answered_with_400(site, port):
    for method in ("GET", "POST", "PUT"):
        status, body = site.ask(port, method, "/health", body=b"x" if method != "GET" else None)
        assert (status, body) == (400, b"client sent an HTTP request to an HTTPS port\n")


def test_tls_on_a_plain_port_is_answered_with_400(site):
    """The agent's API has no TLS, as in the reference. The answer comes instead of a server hello."""
    assert site.ask("agent server", "GET", "/health")[0] == 200
    with socket.create_connection(site.ports["agent server"], timeout=20) as connection:
        connection.sendall(bytes.fromhex("16030100050100000100"))
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions(site, version):
    context = site.pki.context()
    context.minimum_version = context.maximum_version = version
    assert site.ask("origin blobserver", "GET", "/health", context)[0] == 200


def test_older_versions_are_refused(site):
    context = site.pki.context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        site.ask("origin blobserver", "GET", "/health", context)


@pytest.mark.parametrize("port", SECURED)
def test_reading_needs_no_client_certificate(site, port):
    context = site.pki.context()
    for method in ("GET", "HEAD"):
        assert site.ask(port, method, "/health", context, ELSEWHERE)[0] in (200, 404, 405)


@pytest.mark.parametrize("port", SECURED)
def test_everything_else_needs_a_client_certificate(site, port):
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        status, body = site.ask(port, method, "/nothing/here", site.pki.context(), ELSEWHERE)
        assert (status, body) == (403, method.encode() + b" needs a client certificate\n")
        for context, source in ((site.pki.context("client"), ELSEWHERE), (site.pki.context(), HOST)):
            assert site.ask(port, method, "/nothing/here", context, source)[0] not in (400, 403)


@pytest.mark.parametrize("source", [HOST, ELSEWHERE])
def test_a_certificate_of_a_stranger_is_refused_whatever_is_asked_for(site, tmp_path, source):
    stranger = Pki(tmp_path / "stranger")
    context = site.pki.context()
    context.load_cert_chain(stranger.path("client.pem"), stranger.path("client.plain.key"))
    for method in ("GET", "PUT"):
        status, body = site.ask("build-index api", method, "/health", context, source)
        assert status == 400 and b"client certificate is not valid" in body


def test_sessions_are_resumed(site):
    context = site.pki.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # Python shows a session of 1.3 only after a read
    session = None
    for resumed in (False, True):
        with socket.create_connection(site.ports["proxy registry"], timeout=20) as plain:
            with context.wrap_socket(plain, server_hostname=HOST, session=session) as secured:
                session = secured.session
                assert secured.session_reused == resumed


def test_bodies_have_limits(site):
    context = site.pki.context("client")
    for port in ("tracker api", "build-index api", "agent registry"):
        too_large = {"Content-Length": str(MIB + 1), "Expect": "100-continue"}
        assert site.ask(port, "PUT", "/tags/a/digest/b", context, headers=too_large)[0] == 413
    too_large = {"Content-Length": str(10 * 1024 * MIB + 1), "Expect": "100-continue"}
    assert site.ask("origin blobserver", "PATCH", "/namespace/a/blobs/b/uploads/c", context,
                    headers=too_large)[0] == 413


def serial(site, port):
    with socket.create_connection(site.ports[port], timeout=20) as plain:
        with site.pki.context().wrap_socket(plain, server_hostname=HOST) as secured:
            return secured.getpeercert()["serialNumber"]


@pytest.mark.parametrize("port", ("origin blobserver", "tracker api", "build-index api", "proxy registry", "agent server"))
def test_how_long_the_certificates_last_is_told(site, port):
    """What docs/metrics.md says beside its table, which is made of roles without TLS."""
    context = None if port == "agent server" else site.pki.context()
    status, text = site.ask(port, "GET", "/metrics", context)
    assert status == 200
    text = text.decode()
    known = {name: (kind, labels) for name, kind, labels, _ in metrics_page.families(text)}
    name = "krakend_tls_cert_expiry_days"
    assert known[name] == ("gauge", {"cert"})
    days = dict(re.findall(name + r'{cert="(\w+)",role="[\w-]+"} ([\d.]+)', text))
    assert days.keys() == {"server", "client"} and all(float(left) > 0 for left in days.values())
    with open(metrics_page.PAGE, encoding="utf-8") as file:
        assert f"| `{name}` | gauge | cert: `server` or `client` |" in file.read()


def test_certificates_change_without_a_restart(site):
    """Last: the clients of before do not trust the new authority."""
    before = serial(site, "proxy registry")
    kept = http.client.HTTPSConnection(*site.ports["proxy registry"], timeout=20, context=site.pki.context())
    kept.request("GET", "/health")
    kept.getresponse().read()
    site.pki.make_authority()
    site.pki.make_client("client", "Kraken Test Client")
    for process in site.processes:
        process.wait_for("certificates were read again")
    assert serial(site, "proxy registry") != before
    kept.request("GET", "/health")
    assert kept.getresponse().status == 200
    kept.close()
    # The roles trust each other again, at both sides.
    assert site.ask("tracker api", "POST", "/nothing", site.pki.context("client"), ELSEWHERE)[0] == 404
    assert site.ask("proxy registry", "GET", "/v2/_catalog", site.pki.context())[0] == 200


def test_the_garbage_collector_calls_over_tls(site):
    def collect(*flags):
        return subprocess.run([cluster.KRAKEND, "gc", f"--origin={site.at('origin blobserver')}",
                               f"--build-index={site.at('build-index api')}", *flags],
                              capture_output=True, text=True, timeout=60)

    trusting = [f"--tls-ca={site.pki.path('server.pem')}", "--tls-name=kraken"]
    told = collect(*trusting).stderr + collect(*trusting).stdout
    # An origin that has just been started cannot tell what is in use: it was asked, and answered.
    assert "TLS" not in told and ("in use" in told or "started" in told), told
    assert "its certificate is not valid for stranger" in collect(trusting[0], "--tls-name=stranger").stderr
    assert collect().returncode != 0


def test_ipv6(tmp_path):
    pki = Pki(tmp_path / "pki")
    config = tmp_path / "tracker.yaml"
    config.write_text(pki.block())
    tracker = cluster.Process("tracker", tmp_path / "tracker", "--port=0", "--listen-address=::1",
                              f"--config={config}")
    port = tracker.ports["tracker api"][1]
    connection = http.client.HTTPSConnection("::1", port, timeout=20, context=pki.context())
    connection.request("GET", "/health")
    assert connection.getresponse().status == 200
    connection.close()
    tracker.stop()


def test_files_that_do_not_fit_are_named_at_start(tmp_path):
    pki = Pki(tmp_path / "pki")
    config = tmp_path / "tracker.yaml"

    def refused(text):
        config.write_text(text)
        done = subprocess.run([cluster.KRAKEND, "--role=tracker", "--port=0", f"--listen-address={HOST}",
                               f"--data-dir={tmp_path}/data", f"--config={config}"],
                              capture_output=True, text=True, timeout=20)
        assert done.returncode == 1
        return done.stderr

    assert f"{pki.path('gone')}" in refused(pki.block().replace("server.key", "gone"))
    assert "does not belong to the certificate" in refused(pki.block().replace("server.key", "client.key"))
    pki.put("passphrase", "octopus")
    assert "the passphrase in " in refused(pki.block())


def test_an_agent_serves_only_allowed_addresses(tmp_path):
    config = tmp_path / "agent.yaml"
    config.write_text(f"allowed_cidrs: [{HOST}, 172.17.0.1]\n")
    agent = cluster.Process("agent", tmp_path / "agent", f"--listen-address={HOST}", f"--peer-ip={HOST}",
                            "--peer-port=0", "--agent-registry-port=0", "--agent-server-port=0",
                            f"--config={config}")
    for source, wanted in ((HOST, 200), (ELSEWHERE, 403)):
        for path in ("/health", "/v2/"):
            connection = http.client.HTTPConnection(*agent.ports["agent registry"], timeout=20,
                                                    source_address=(source, 0))
            connection.request("GET", path)
            assert connection.getresponse().status == wanted
            connection.close()
    connection = http.client.HTTPConnection(*agent.ports["agent server"], timeout=20, source_address=(ELSEWHERE, 0))
    connection.request("GET", "/health")
    assert connection.getresponse().status == 200  # the list is the registry's
    connection.close()
    agent.stop()
