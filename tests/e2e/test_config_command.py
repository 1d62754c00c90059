"""krakend config: what people and pipelines check files with."""

import glob
import json
import os
import subprocess

import pytest

import cluster

CONFIGS = os.path.join(os.path.dirname(__file__), "..", "..", "configs")


def krakend(*arguments):
    done = subprocess.run([cluster.KRAKEND, *arguments], capture_output=True, text=True, timeout=20, check=False)
    return done.returncode, done.stdout, done.stderr


def test_check_tells_all_and_its_exit_status(tmp_path):
    (tmp_path / "bad.yaml").write_text("scheduler:\n  conn_tt: 3s\n  seeder_tti: soon\n")
    (tmp_path / "good.yaml").write_text("hashring: {max_replica: 3}\n")
    status, said, complaints = krakend("config", "check", str(tmp_path / "good.yaml"), str(tmp_path / "bad.yaml"))
    assert status == 1
    assert said == f"{tmp_path}/good.yaml: good for origin\n"
    assert "bad.yaml:2: unknown key" in complaints and "bad.yaml:3: scheduler.seeder_tti" in complaints
    assert krakend("config", "check", str(tmp_path / "good.yaml"))[0] == 0
    assert krakend("config", "chekc")[0] == 2


def test_the_schema_takes_what_is_shipped_and_no_mistakes():
    jsonschema = pytest.importorskip("jsonschema")
    yaml = pytest.importorskip("yaml")
    for path in glob.glob(f"{CONFIGS}/*.yaml"):
        role = os.path.basename(path).removesuffix(".yaml")
        schema = json.loads(krakend("config", "schema", f"--role={role}")[1])
        checker = jsonschema.Draft202012Validator(schema)
        with open(path, encoding="utf-8") as file:
            document = yaml.safe_load(file)
        assert not [error.message for error in checker.iter_errors(document)], path
        document["conn_tt"] = 1
        assert list(checker.iter_errors(document)), path
    agent = jsonschema.Draft202012Validator(json.loads(krakend("config", "schema", "--role=agent")[1]))
    for wrong in ({"scheduler": {"conn_tti": "soon"}}, {"scheduler": 5}, {"zap": {"level": "loud"}},
                  {"tracker": {"hosts": {"static": "a:1"}}}):
        assert not agent.is_valid(wrong), wrong
    for right in ({"scheduler": {"conn_tti": "1h30m"}}, {"scheduler": None}, {"zap": {"level": "INFO"}}):
        assert agent.is_valid(right), right
