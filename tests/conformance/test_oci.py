"""The official conformance suites of the OCI distribution specification against a herd's proxy, and their reads
against an agent."""

import collections
import os
import re
import subprocess
import sys
import xml.etree.ElementTree

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import cluster  # noqa: E402
import reads_from_agent  # noqa: E402
import tools  # noqa: E402

REPORTS = os.environ.get("KRAKEND_REPORTS") or "conformance-reports"
SUITE_LIMIT = 300


@pytest.fixture
def registry(tmp_path):
    config = tmp_path / "herd.yaml"
    config.write_text("proxy:\n  registry: {delete_enabled: true}\n")
    process = cluster.herd(tmp_path, f"--config={config}", "--listen-address=127.0.0.1")
    yield process
    process.stop()


@pytest.fixture
def pulled_through_an_agent(tmp_path):
    process = cluster.herd(tmp_path)
    agent = cluster.agent(tmp_path, process, 1)
    splitter = reads_from_agent.Splitter(process.ports["proxy registry"], agent.ports["agent registry"])
    yield splitter
    splitter.stop()
    agent.stop()
    process.stop()


def address(process):
    return "{}:{}".format(*process.ports["proxy registry"])


def run(program, name, **environment):
    folder = os.path.abspath(os.path.join(REPORTS, name))
    os.makedirs(folder, exist_ok=True)
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("OCI_")}
    with open(os.path.join(folder, "output.txt"), "w") as output:
        done = subprocess.run([program], cwd=folder, stdout=output, stderr=subprocess.STDOUT, timeout=SUITE_LIMIT,
                              env={**inherited, "OCI_RESULTS_DIR": folder, "OCI_REPORT_DIR": folder, **environment})
    return done.returncode, folder


def current_suite(name, registry_address, **switches):
    """Runs it; how many cases passed, were skipped, ... and the names of those that did not pass."""
    code, folder = run(tools.installed(tools.CURRENT_SUITE), name, OCI_REGISTRY=registry_address, OCI_TLS="disabled",
                       OCI_REPO1="c/r1", OCI_REPO2="c/r2", OCI_API_BLOBS_DIGEST_HEADER="true",
                       OCI_API_MANIFESTS_DIGEST_HEADER="true", **switches)
    totals = collections.Counter()
    others = []
    for case in xml.etree.ElementTree.parse(os.path.join(folder, "junit.xml")).iter("testcase"):
        totals[case.get("status")] += 1
        if case.get("status") != "passed":
            others.append(f"{case.get('status')}: {case.get('name')}")
    print(dict(totals))
    assert code == 0, others
    return totals, others


def test_current_suite(registry):
    """Every API against every kind of data; the optional cancellation of uploads and digest headers too."""
    totals, others = current_suite("current", address(registry), OCI_API_BLOBS_UPLOAD_CANCEL="true")
    assert others == []
    assert totals["passed"] >= 695


def test_current_suite_reads_from_an_agent(pulled_through_an_agent):
    """Without deletes: an agent keeps what it has pulled for a while."""
    totals, others = current_suite("current-agent", pulled_through_an_agent.address,
                                   OCI_API_BLOBS_DELETE="false", OCI_API_MANIFESTS_DELETE="false",
                                   OCI_API_TAGS_DELETE="false")
    assert [name for name in others if not re.search(r"-(delete|cancel)$", name)] == []
    assert totals["passed"] >= 526
    print(pulled_through_an_agent.counts)
    assert pulled_through_an_agent.counts["agent"] > 300


def workflow_suite(name, registry_address, **switches):
    code, folder = run(tools.compiled_tests(tools.WORKFLOW_SUITE), name, OCI_ROOT_URL=f"http://{registry_address}",
                       OCI_NAMESPACE="myorg/myrepo", OCI_CROSSMOUNT_NAMESPACE="myorg/other", OCI_TEST_PULL="1",
                       OCI_TEST_PUSH="1", OCI_TEST_CONTENT_DISCOVERY="1", **switches)
    with open(os.path.join(folder, "output.txt")) as output:
        text = re.sub(r"\x1b\[[0-9;]*m", "", output.read())
    passed, failed, skipped = re.search(r"(\d+) Passed \| (\d+) Failed .* (\d+) Skipped", text).groups()
    print(f"passed {passed}, failed {failed}, skipped {skipped}")
    assert code == 0, "\n".join(re.findall(r"\[FAIL\] .*", text))
    return int(passed)


def test_workflow_suite(registry):
    assert workflow_suite("workflow", address(registry), OCI_TEST_CONTENT_MANAGEMENT="1") >= 74


def test_workflow_suite_reads_from_an_agent(pulled_through_an_agent):
    assert workflow_suite("workflow-agent", pulled_through_an_agent.address) >= 60
