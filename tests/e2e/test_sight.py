"""What an operator sees: logs, access logs, traces, numbers."""

import collections
import json
import os
import re
import socket
import subprocess
import time

import cluster
import metrics_page
from images import MIB
from test_limits_of_the_host import await_until
from test_main_job import agents, get_blob, herd  # noqa: F401 (fixtures)

HOST = "127.0.0.1"
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}


def start_agent(tmp_path, herd_process, text):
    config = tmp_path / "agent.yaml"
    config.write_text(text)
    host, tracker = herd_process.ports["tracker api"]
    tags = herd_process.ports["build-index api"][1]
    return cluster.Process("agent", tmp_path / "agent", f"--config={config}", f"--listen-address={HOST}",
                           f"--peer-ip={HOST}", "--peer-port=0", "--agent-registry-port=0", "--agent-server-port=0",
                           "--zone=z1", "--cluster=c1", f"--tracker={host}:{tracker}", f"--build-index={host}:{tags}")


def test_a_trace_is_in_every_line_of_a_pull_over_all_hops(tmp_path):
    """Agent, tracker, origin: the log lines of one pull name its trace, the others name none."""
    config = tmp_path / "herd.yaml"
    config.write_text("\n".join(f"{role}: {{zap: {{level: debug}}}}" for role in
                                ("origin", "tracker", "build-index", "proxy")))
    herd_process = cluster.herd(tmp_path, f"--config={config}", f"--listen-address={HOST}", f"--peer-ip={HOST}")
    agent = start_agent(tmp_path, herd_process, "zap: {level: debug}\n")
    data = os.urandom(3 * MIB)
    digest = cluster.push_blob(herd_process, data)
    status, _, body = agent.request("agent registry", "GET", f"/v2/t/app/blobs/{digest}", headers=PARENT)
    assert status == 200 and body == data
    done = agent.wait_for("download complete")[0]
    assert f"trace_id={TRACE}" in done, done
    # The tracker and, behind it, the origin were asked on behalf of this request.
    metainfo = herd_process.wait_for(r"DEBUG .*GET /namespace/.*/metainfo 200 trace_id=" + TRACE, count=1)
    spans = {re.search(r"span_id=(\w+)", line)[1] for line in metainfo}
    assert "b7ad6b7169203331" not in spans
    herd_process.wait_for(r"DEBUG .*GET /internal/namespace/.*/metainfo 200 trace_id=" + TRACE)
    other = cluster.push_blob(herd_process, os.urandom(1000))
    get_blob(agent, other)
    line = agent.wait_for("download complete digest=" + other)[0]
    assert "trace_id" not in line, line
    agent.stop()
    herd_process.stop()


def test_zap_decides_the_form_and_the_place_of_the_log(tmp_path):
    path = tmp_path / "log" / "agent.log"
    config = tmp_path / "tracker.yaml"
    config.write_text(f"""
zap:
  level: info
  encoding: json
  outputPaths: [stdout, {path}]
  encoderConfig: {{messageKey: msg, timeKey: when, timeEncoder: epoch, levelEncoder: lowercase}}
  initialFields: {{team: registry, nested: {{a: 1}}}}
""")
    process = subprocess.Popen([cluster.KRAKEND, "--role=tracker", "--port=0", f"--listen-address={HOST}",
                                f"--config={config}", f"--data-dir={tmp_path}/data"], stdout=subprocess.PIPE, text=True)
    said = []
    while not said or json.loads(said[-1])["msg"] != "ready":
        said.append(process.stdout.readline())
    process.terminate()
    said += process.stdout.readlines()
    assert process.wait(20) == 0
    assert path.read_text() == "".join(said)
    last = json.loads(next(line for line in said if '"ready"' in line))
    assert last["msg"] == "ready" and last["level"] == "info" and last["team"] == "registry"
    assert last["nested"] == {"a": 1} and abs(last["when"] - time.time()) < 60


def test_the_torrent_log_is_the_reference_s(tmp_path, herd):  # noqa: F811
    path = tmp_path / "torrent.log"
    agent = start_agent(tmp_path, herd, f"""
scheduler:
  torrentlog: {{level: debug, path: {path}, encoding: json, timeEncoder: epoch, service_name: kraken-agent}}
""")
    data = os.urandom(9 * MIB)
    digest = cluster.push_blob(herd, data)
    assert get_blob(agent, digest)[2] == data
    agent.wait_for("download complete")
    agent.stop()
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for record in records:
        assert {"level", "ts", "message", "cluster", "hostname", "peer_id", "service_name", "zone"} <= set(record)
        assert (record["cluster"], record["zone"], record["service_name"]) == ("c1", "z1", "kraken-agent")
    by_message = {record["message"]: record for record in records}
    success = by_message["Download success"]
    assert success["level"] == "INFO" and success["namespace"] == "t/app" and success["name"] == digest[7:]
    assert success["size"] == len(data) and success["download_time"] > 0
    assert len(by_message["Outgoing connection accept"]["remote_peer_id"]) == 40
    summary = by_message["Seeder summaries"]["seeder_summaries"]
    assert sum(peer["good_pieces_received"] for peer in summary) == 9


def test_access_logs_without_health(tmp_path, herd):  # noqa: F811
    combined = tmp_path / "access.log"
    agent = start_agent(tmp_path, herd, f"access_log: {{path: {combined}}}\n")
    data = os.urandom(1000)
    digest = cluster.push_blob(herd, data)
    get_blob(agent, digest)
    agent.request("agent server", "GET", "/health")
    agent.stop()
    lines = combined.read_text().splitlines()
    assert len(lines) == 1
    assert re.fullmatch(rf'127\.0\.0\.1 - - \[\d\d/\w+/\d+:[\d:]+ \+0000\] "GET /v2/t/app/blobs/{digest} HTTP/1.1" 200 '
                        r'1000 "-" "-"', lines[0]), lines[0]
    folder = tmp_path / "nginx" / "logs"
    config = tmp_path / "proxy.yaml"
    config.write_text(f"nginx: {{name: kraken-proxy, log_dir: {folder}}}\n")
    proxy = cluster.Process("proxy", tmp_path / "proxy", f"--config={config}", f"--listen-address={HOST}", "--port=0")
    assert proxy.request("proxy registry", "GET", "/v2/", headers={"User-Agent": "tester"})[0] == 200
    proxy.stop()
    line = json.loads((folder / "nginx-access.log").read_text().splitlines()[0])
    assert (line["verb"], line["path"], line["responseStatusCode"], line["agent"]) == ("GET", "/v2/", "200", "tester")


def test_a_log_that_cannot_be_opened_is_said_at_start(tmp_path):
    config = tmp_path / "tracker.yaml"
    for text in ("zap: {outputPaths: [/proc/nowhere/log]}\n", "access_log: {path: /proc/nowhere/log}\n"):
        config.write_text(text)
        done = subprocess.run([cluster.KRAKEND, "--role=tracker", "--port=0", f"--config={config}",
                               f"--data-dir={tmp_path}/data"], capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 1 and "/proc/nowhere/log" in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_docs_metrics_md_is_what_the_roles_tell(tmp_path):
    page = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "metrics.md")
    with open(page, encoding="utf-8") as file:
        written = file.read()
    assert metrics_page.table_of(written) == metrics_page.rows(tmp_path), \
        "KRAKEND=... python3 tests/e2e/metrics_page.py writes docs/metrics.md anew"


def statsd_names_of_the_page():
    with open(metrics_page.PAGE, encoding="utf-8") as file:
        rows = re.findall(r"^\| `([\w.]+|<status>)` \| (?:counter|gauge|timer|histogram) \| [\w, -]+ \|", file.read(), re.M)
    return set(rows)


def statsd_line(line):
    """Role, name, and value of a line; of a bucket the name of its histogram."""
    bound = r"(?:-?infinity|[\d.]+|(?:[\d.]+(?:h|ms|m|s))+)"
    form = rf"kraken\.([\w-]+)\.([a-z_.]+?|\d+)(?:\.{bound}-{bound})?:(-?[\d.]+)\|(?:c|g|ms)"
    role, name, value = re.fullmatch(form, line).groups()
    return role, "<status>" if name.isdigit() else name, float(value)


def test_statsd_gets_the_reference_s_names_of_a_push_and_a_pull(tmp_path):
    kinds = "origin_seeders", "complete_agent_seeders", "incomplete_agent_seeders"
    wanted = {"proxy": ("upload_requests", "upload_blob", "mb_served"),
              "origin": ("tasks.added", "upload", "lifetime", "torrents", "piece_bandwidth", "queue.total.size"),
              "tracker": ("get_metainfo", *kinds),
              "agent": ("download_requests", "mb_served", "torrents", "piece_bandwidth")}
    wanted = {(role, name) for role, names in wanted.items() for name in (*names, "<status>", "latency")}
    told = collections.Counter()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind((HOST, 0))
        receiver.settimeout(10)
        statsd = f"{{backend: statsd, statsd: {{host_port: '{HOST}:{receiver.getsockname()[1]}', prefix: kraken.%s}}}}"
        config = tmp_path / "herd.yaml"
        config.write_text("\n".join(f"{role}: {{metrics: {statsd % role}}}" for role in ("origin", "tracker", "proxy")))
        herd_process = cluster.herd(tmp_path, f"--config={config}", f"--listen-address={HOST}", f"--peer-ip={HOST}")
        agent = start_agent(tmp_path, herd_process, f"metrics: {statsd % 'agent'}\n")
        digest = cluster.push_blob(herd_process, os.urandom(3 * MIB))
        assert get_blob(agent, digest)[0] == 200
        assert herd_process.request("proxy registry", "GET", f"/v2/t/app/blobs/{digest}")[0] == 200

        def heard():
            for line in receiver.recv(2000).decode().splitlines():
                role, name, value = statsd_line(line)
                told[role, name] += value
            return wanted <= told.keys()
        try:
            await_until(heard)
        except (AssertionError, TimeoutError) as error:
            raise AssertionError(f"not heard: {sorted(wanted - told.keys())}") from error
        agent.stop()
        herd_process.stop()
    names = {name for _, name in told}
    assert names <= statsd_names_of_the_page(), names - statsd_names_of_the_page()
    assert told["agent", "mb_served"] == told["proxy", "mb_served"] == 3
    assert told["agent", "piece_bandwidth"] == told["origin", "piece_bandwidth"] == 8 * 3 * MIB


def test_statsd_gets_only_names_of_the_page(tmp_path):
    known = statsd_names_of_the_page()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind((HOST, 0))
        receiver.settimeout(10)
        config = tmp_path / "agent.yaml"
        config.write_text(f"metrics: {{backend: statsd, statsd: {{host_port: '{HOST}:{receiver.getsockname()[1]}', "
                          "prefix: kraken.agent}}\n")
        agent = cluster.Process("agent", tmp_path / "agent", f"--config={config}", f"--listen-address={HOST}",
                                f"--peer-ip={HOST}", "--peer-port=0", "--agent-registry-port=0",
                                "--agent-server-port=0")
        names = set()

        def heard():
            agent.request("agent server", "GET", "/health")
            packet = receiver.recv(2000)
            assert len(packet) <= 512
            for line in packet.decode().splitlines():
                name, value, kind = re.fullmatch(r"kraken\.agent\.([\w.]+):(-?[\d.]+)\|(c|g|ms)", line).groups()
                names.add("<status>" if name.isdigit() else name)
            return {"heartbeat", "<status>", "latency"} <= names
        await_until(heard)
        agent.stop()
    assert names <= known, names - known
