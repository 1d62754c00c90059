"""How each role starts by itself, on ports that the system picks: its HTTP listener that is asked, and its flags."""

HOST = "127.0.0.1"
ROLES = {
    "origin": ("origin blobserver", [f"--peer-ip={HOST}", "--peer-port=0", "--blobserver-port=0"]),
    "tracker": ("tracker api", ["--port=0"]),
    "build-index": ("build-index api", ["--port=0"]),
    "proxy": ("proxy registry", ["--port=0"]),
    "agent": ("agent server", [f"--peer-ip={HOST}", "--peer-port=0", "--agent-registry-port=0",
                               "--agent-server-port=0"]),
}
