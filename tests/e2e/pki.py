"""Certificates for the tests, as the reference's script makes them: one authority that is the servers' certificate
too, keys in encrypted traditional PEM, the passphrase in a file without newline."""

import os
import ssl
import subprocess

PASSPHRASE = "kraken"
NAMES = "subjectAltName=DNS:kraken,DNS:localhost,IP:127.0.0.1,IP:127.0.0.2,IP:127.0.0.60,IP:::1"
BOTH = "extendedKeyUsage=serverAuth,clientAuth"


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)


class Pki:
    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.put("passphrase", PASSPHRASE)
        self.make_authority()
        self.make_client("client", "Kraken Test Client")

    def path(self, name):
        return str(self.folder / name)

    def put(self, name, text):
        (self.folder / name).write_text(text)

    def make_authority(self, name="server"):
        """A certificate for itself; afterwards `server.pem` and `server.key`, encrypted."""
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.path(f"{name}.plain.key"),
                "-out", self.path(f"{name}.new"), "-days", "30", "-subj", "/CN=Kraken Test CA",
                "-addext", NAMES, "-addext", BOTH)
        self.encrypt(name)
        os.replace(self.path(f"{name}.new"), self.path(f"{name}.pem"))

    def encrypt(self, name):
        openssl("rsa", "-aes256", "-traditional", "-in", self.path(f"{name}.plain.key"), "-out",
                self.path(f"{name}.key"), "-passout", f"pass:{PASSPHRASE}")

    def make_client(self, name, subject, authority="server"):
        request = self.path(f"{name}.csr")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", self.path(f"{name}.plain.key"), "-out", request,
                "-subj", f"/CN={subject}")
        openssl("x509", "-req", "-in", request, "-CA", self.path(f"{authority}.pem"), "-CAkey",
                self.path(f"{authority}.plain.key"), "-CAcreateserial", "-days", "30", "-out",
                self.path(f"{name}.pem"))
        self.encrypt(name)

    def side(self, name):
        return (f"{{cert: {{path: {self.path(name + '.pem')}}}, key: {{path: {self.path(name + '.key')}}}, "
                f"passphrase: {{path: {self.path('passphrase')}}}}}")

    def block(self):
        """The `tls` block of every component, both sides on."""
        return (f"tls:\n  name: kraken\n  cas: [{{path: {self.path('server.pem')}}}]\n"
                f"  server: {self.side('server')}\n  client: {self.side('client')}\n")

    def context(self, client=None):
        """For a client that trusts the authority; `client` names the certificate it shows."""
        context = ssl.create_default_context(cafile=self.path("server.pem"))
        if client:
            context.load_cert_chain(self.path(f"{client}.pem"), self.path(f"{client}.plain.key"))
        return context

    def cert_dir(self, folder):
        """A folder as skopeo and docker read it, with a client certificate."""
        folder.mkdir()
        for name, source in (("ca.crt", "server.pem"), ("client.cert", "client.pem"), ("client.key",
                                                                                         "client.plain.key")):
            (folder / name).write_bytes((self.folder / source).read_bytes())
        return str(folder)
