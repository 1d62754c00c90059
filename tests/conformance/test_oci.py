"""The official conformance suites of the OCI distribution specification against a herd's proxy."""

import collections
import os
import re
import subprocess
import sys
import xml.etree.ElementTree

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import cluster  # noqa: E402
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


def test_current_suite(registry):
    """Every API against every kind of data; the optional cancellation of uploads and digest headers too."""
    code, folder = run(tools.installed(tools.CURRENT_SUITE), "current", OCI_REGISTRY=address(registry),
                       OCI_TLS="disabled", OCI_REPO1="c/r1", OCI_REPO2="c/r2", OCI_API_BLOBS_UPLOAD_CANCEL="true",
                       OCI_API_BLOBS_DIGEST_HEADER="true", OCI_API_MANIFESTS_DIGEST_HEADER="true")
    cases = xml.etree.ElementTree.parse(os.path.join(folder, "junit.xml")).iter("testcase")
    totals = collections.Counter()
    others = []
    for case in cases:
        totals[case.get("status")] += 1
        if case.get("status") != "passed":
            others.append(f"{case.get('status')}: {case.get('name')}")
    print(dict(totals))
    assert (code, others) == (0, [])
    assert totals["passed"] >= 695


def test_workflow_suite(registry):
    code, folder = run(tools.compiled_tests(tools.WORKFLOW_SUITE), "workflow",
                       OCI_ROOT_URL=f"http://{address(registry)}", OCI_NAMESPACE="myorg/myrepo",
                       OCI_CROSSMOUNT_NAMESPACE="myorg/other", OCI_TEST_PULL="1", OCI_TEST_PUSH="1",
                       OCI_TEST_CONTENT_DISCOVERY="1", OCI_TEST_CONTENT_MANAGEMENT="1")
    with open(os.path.join(folder, "output.txt")) as output:
        text = re.sub(r"\x1b\[[0-9;]*m", "", output.read())
    passed, failed, skipped = re.search(r"(\d+) Passed \| (\d+) Failed .* (\d+) Skipped", text).groups()
    print(f"passed {passed}, failed {failed}, skipped {skipped}")
    assert code == 0, "\n".join(re.findall(r"\[FAIL\] .*", text))
    assert int(passed) >= 74
