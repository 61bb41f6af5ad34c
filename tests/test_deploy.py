"""The files for servers hold together: compose file, ClickHouse users, the reactor's configuration."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from reactor.run.settings import load

ROOT = Path(__file__).parents[1]
COMPOSE = (ROOT / "docker-compose.yml").read_text("utf-8")
SECRETS = {"VIOLET_JOURNAL_PASSWORD": "w", "VIOLET_READER_PASSWORD": "r"}


def compose_command():
    """docker-compose, or the plugin of docker; None where there is neither."""
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    plugin = ["docker", "compose"]
    if not shutil.which("docker"):
        return None
    return None if subprocess.run([*plugin, "version"], check=False, capture_output=True).returncode else plugin


def test_docker_compose_accepts_the_file():
    if not (command := compose_command()):
        pytest.skip("neither docker-compose nor the compose plugin of docker is installed")
    check = [*command, "-f", "docker-compose.yml", "config"]
    env = os.environ | SECRETS
    done = subprocess.run(check, check=False, cwd=ROOT, capture_output=True, text=True, env=env, timeout=60)
    assert done.returncode == 0, done.stderr
    for service in ("kafka:", "clickhouse:", "reactor:", "prometheus:", "grafana:"):
        assert f"  {service}\n" in done.stdout


def test_every_image_is_pinned():
    images = re.findall(r"image: (\S+)", COMPOSE)
    images += re.findall(r"^FROM (\S+)", (ROOT / "deploy/reactor/Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert len(images) == 8
    assert [i for i in images if not re.search(r":v?\d+\.\d+\.\d+", i)] == []


def test_every_port_is_bound_to_loopback():
    ports = re.findall(r'"([\d.:]+:\d+)"', COMPOSE)
    assert ports
    assert [p for p in ports if not p.startswith("127.0.0.1:")] == []


def test_the_mounted_files_exist():
    mounted = re.findall(r"- (\./[^:]+):", COMPOSE)
    assert mounted
    assert [m for m in mounted if not (ROOT / m).exists()] == []


def test_the_reader_may_only_read():
    users = ET.parse(ROOT / "deploy/clickhouse/users.d/violet.xml").getroot()
    assert users.findtext("profiles/violet_reader/readonly") == "1"
    assert users.findtext("profiles/violet_reader/result_overflow_mode") == "throw"
    assert users.findtext("users/reader/profile") == "violet_reader"
    caps = users.find("profiles/violet_reader/constraints")
    assert [cap.tag for cap in caps if cap.find("changeable_in_readonly") is not None] == ["max_execution_time"]
    assert caps.findtext("max_execution_time/max") == "60"
    assert users.find("users/default").get("remove") == "remove"


@pytest.mark.parametrize("login", ["migrator", "writer", "reader"])
def test_a_login_of_the_server_has_the_rights_that_are_tried_and_no_more(login):
    """tests/integration/test_rights.py tries those of users.sql on the engine."""
    users = ET.parse(ROOT / "deploy/clickhouse/users.d/violet.xml").getroot()
    text = re.sub(r"--.*", "", (ROOT / "deploy/clickhouse/users.sql").read_text("utf-8"))
    known = [" ".join(each.split()).replace(" violet.", " default.") for each in text.split(";")]
    role = f" TO violet_{login}_role"
    wanted = [each for each in known if each.startswith("GRANT ") and each.endswith(role)]
    assert wanted
    assert [query.text + role for query in users.iterfind(f"users/{login}/grants/query")] == wanted


@pytest.mark.parametrize(("name", "login"), [("violet", "writer"), ("migrate", "migrator")])
def test_the_reactor_and_who_migrates_for_it_read_their_configuration(name, login):
    file = ROOT / f"deploy/reactor/{name}.toml"
    settings = load({}, file, SECRETS)
    users = (ROOT / "deploy/clickhouse/users.d/violet.xml").read_text("utf-8")
    assert (settings.soak.topic or "") in COMPOSE
    assert settings.journal.user == login
    assert f"<{login}>" in users
    assert settings.journal.password.get_secret_value() == "w"
    assert "password" not in tomllib.loads(file.read_text("utf-8"))["journal"]
