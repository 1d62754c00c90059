"""The registry that the clients talk to."""

import json
import re


class Registry:
    def __init__(self, herd, agent):
        self.herd, self.agent = herd, agent
        self.proxy_host = "{}:{}".format(*herd.ports["proxy registry"])
        self.agent_host = "{}:{}".format(*agent.ports["agent registry"])

    def get(self, path, method="GET", headers=None):
        return self.herd.request("proxy registry", method, "/v2/" + path, headers=headers)

    def digest(self, repo, reference):
        """Digest that the proxy has for a tag."""
        status, headers, _ = self.get(f"{repo}/manifests/{reference}", "HEAD")
        assert status == 200, f"{repo}:{reference}: {status}"
        return headers["Docker-Content-Digest"]

    def tags(self, repo):
        return json.loads(self.get(f"{repo}/tags/list")[2])["tags"]

    def mark(self):
        return len(self.herd.log)

    def requests_since(self, mark, repo):
        """(method, path) of the requests that clients sent to the proxy for a repository, in order."""
        lines = self.herd.log[mark:]
        found = [re.search(r"(GET|HEAD|POST|PATCH|PUT|DELETE) (/v2/\S+) \d+$", line) for line in lines]
        return [(hit[1], hit[2]) for hit in found if hit and hit[2].startswith(f"/v2/{repo}/")]
