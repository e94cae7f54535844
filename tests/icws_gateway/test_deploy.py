"""What is in ``gateway/deploy`` agrees with the code: settings, names of metrics, flags, paths."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from icws_gateway.cli import app
from icws_gateway.config import GatewayConfig
from icws_gateway.metrics import GatewayMetrics
from icws_gateway.sample_config import sample_config

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "gateway" / "deploy"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "gateway.json"
ALERTS = DEPLOY / "alerts.yml"
_EXPOSED = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def exposed_names() -> set[str]:
    families = GatewayMetrics().registry.collect()
    return {family.name + suffix for family in families for suffix in _EXPOSED[family.type]}


def labels_of(metrics: GatewayMetrics, name: str) -> set[str]:
    for metric in vars(metrics).values():
        if getattr(metric, "_name", None) in (name, re.sub("_(total|bucket|sum|count)$", "", name)):
            return {*metric._labelnames, "le"}
    return set()


def expressions() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    found = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    return [*found, *re.findall(r"expr: (.+)", ALERTS.read_text())]


def test_sample_config_is_the_schemas_own():
    assert (DEPLOY / "gateway.toml").read_text() == sample_config()
    assert CliRunner().invoke(app, ["--sample-config"]).output == sample_config()


def test_sample_config_changes_nothing_and_names_everything(tmp_path):
    file = tmp_path / "gateway.toml"
    file.write_text(sample_config())
    assert GatewayConfig.load(file) == GatewayConfig()
    named = re.findall(r"^#([a-z_]+) =", sample_config(), re.MULTILINE)
    assert named == list(GatewayConfig.model_fields)


def test_defaults_of_the_sample_are_the_defaults(tmp_path):
    lines = [
        line for line in sample_config().splitlines() if re.match("#[a-z_]+ = ", line) and "no default" not in line
    ]
    file = tmp_path / "gateway.toml"
    file.write_text("\n".join(line.removeprefix("#") for line in lines))
    assert GatewayConfig.load(file) == GatewayConfig()
    assert len(lines) > 50


def test_metrics_of_dashboard_and_alerts_are_in_the_code():
    known, metrics = exposed_names(), GatewayMetrics()
    for expression in expressions():
        names = re.findall(r"\b(?:icws_gateway|process)_\w+", expression)
        assert names or "up{" in expression, expression
        assert not set(names) - known, expression
        grouped = {label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")}
        grouped |= set(re.findall(r"icws_gateway_\w+\{(\w+)=", expression))
        assert not grouped - {label for name in names for label in labels_of(metrics, name)}, expression


def test_dashboard_shows_every_metric():
    text = " ".join(expressions())
    families = [family for family in GatewayMetrics().registry.collect() if family.name.startswith("icws_gateway_")]
    assert [family.name for family in families if family.name not in text] == []


@pytest.mark.parametrize("name", ["Containerfile", "compose.yaml", "icws-gateway.service", "README.md"])
def test_flags_in_use_are_flags(name):
    known = re.findall(r"--[a-z-]+", CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output)
    text = (DEPLOY / name).read_text()
    used = [flag for line in text.splitlines() for flag in re.findall(r"--[a-z-]+", line) if _is_ours(line)]
    assert not set(used) - set(known)


def _is_ours(line: str) -> bool:
    return bool(re.match(r"\s*- --|CMD |ExecStart", line)) or "icws gateway --" in line


def test_settings_in_the_notes_are_settings():
    for name in ("README.md", "haproxy.cfg", "nginx.conf"):
        text = (DEPLOY / name).read_text()
        for word in re.findall(r"\b(?:ping|trusted|drain|poll|queue)_[a-z_]+\b", text):
            assert word in GatewayConfig.model_fields, (name, word)


def copied_into_the_image() -> list[str]:
    lines = re.findall(r"^COPY ([^-].*)", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def test_what_the_image_gets_is_enough_to_build_the_package(tmp_path):
    sources = tmp_path / "src"
    for name in copied_into_the_image():
        target = sources / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, target)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    done = subprocess.run(build, cwd=sources, capture_output=True, text=True, check=False)  # noqa: S603 - our own build
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    assert {"icws_gateway/server.py", "icws_cli/main.py", "icws_secure/__init__.py"} <= inside


def test_files_that_are_named_are_there():
    copied = copied_into_the_image()
    assert [path for path in copied if not (ROOT / path).exists()] == []
    mounted = re.findall(r"^\s+- \./([\w./-]+):", (DEPLOY / "compose.yaml").read_text(), re.MULTILINE)
    made_by_hand = {"settings.toml", "tls"}
    assert [path for path in mounted if path not in made_by_hand and not (DEPLOY / path).exists()] == []


def needs(program: str, package: str) -> pytest.MarkDecorator:
    """Skips a test where a program is missing; not in CI, which installs it."""
    missing = shutil.which(program) is None and "CI" not in os.environ
    return pytest.mark.skipif(missing, reason=f"needs {program} (Debian: apt-get install {package})")


def run(*command: str, stdin: str | None = None) -> str:
    """What a tool of the system says, after it was satisfied."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)  # noqa: S603 - as said
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@needs("promtool", "prometheus")
def test_prometheus_takes_its_settings_and_the_alerts(tmp_path):
    shutil.copy(ALERTS, tmp_path)
    settings = (DEPLOY / "prometheus.yml").read_text()
    (tmp_path / "prometheus.yml").write_text(settings.replace("/etc/prometheus/", f"{tmp_path}/"))
    assert "rules found" in run("promtool", "check", "config", str(tmp_path / "prometheus.yml"))


@needs("promtool", "prometheus")
def test_prometheus_finds_nothing_wrong_with_the_names_of_the_metrics():
    assert run("promtool", "check", "metrics", stdin=GatewayMetrics().render().decode()) == ""


@needs("promtool", "prometheus")
def test_prometheus_can_read_every_expression_of_the_dashboard(tmp_path):
    rules = [
        {"record": f"dashboard:{number}", "expr": expression.replace("$__rate_interval", "1m")}
        for number, expression in enumerate(expressions())
    ]
    file = tmp_path / "rules.yml"  # JSON is YAML
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in run("promtool", "check", "rules", str(file))


@needs("promtool", "prometheus")
def test_alerts_fire_when_they_should_and_not_otherwise(tmp_path):
    shutil.copy(ALERTS, tmp_path)

    def series(name: str, values: str) -> dict[str, str]:
        return {"series": name, "values": values}

    job = 'job="icws-gateway"'
    bad = [
        series(f"up{{{job}}}", "0x20"),
        series(f"icws_gateway_ic_up{{{job}}}", "0x20"),
        series(f"icws_gateway_internal_errors_total{{{job}}}", "0+1x20"),
        series(f'icws_gateway_reloads_total{{{job},outcome="failed"}}', "0+1x20"),
        series(f'icws_gateway_limits_total{{{job},limit="connections"}}', "0+1x20"),
        series(f"icws_gateway_tls_certificate_expiry_timestamp_seconds{{{job}}}", "86400x20"),
        series(f"process_open_fds{{{job}}}", "900x20"),
        series(f"process_max_fds{{{job}}}", "1000x20"),
        series(f'icws_gateway_replica_faults_total{{{job},kind="root"}}', "0+10x20"),
    ]
    good = [
        series(f"up{{{job}}}", "1x20"),
        series(f"icws_gateway_ic_up{{{job}}}", "1x20"),
        series(f"icws_gateway_internal_errors_total{{{job}}}", "3x20"),
        series(f'icws_gateway_reloads_total{{{job},outcome="done"}}', "0+1x20"),
        series(f'icws_gateway_limits_total{{{job},limit="client_frames"}}', "0+1x20"),
        series(f"icws_gateway_tls_certificate_expiry_timestamp_seconds{{{job}}}", "0x20"),
        series(f"process_open_fds{{{job}}}", "100x20"),
        series(f"process_max_fds{{{job}}}", "1000x20"),
    ]
    names = re.findall(r"alert: (\w+)", ALERTS.read_text())
    loud = {name for name in names if name not in ("IcUnreachable", "MessagesLate")}
    tests = []
    for found, firing in ((bad, loud), (good, set())):
        checks = [{"expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) or vector(0)', "eval_time": "15m",
                   "exp_samples": [{"labels": "{}", "value": int(name in firing)}]} for name in names]  # fmt: skip
        tests.append({"interval": "1m", "input_series": found, "promql_expr_test": checks})
    file = tmp_path / "test.yml"
    file.write_text(json.dumps({"rule_files": ["alerts.yml"], "evaluation_interval": "1m", "tests": tests}))
    assert "SUCCESS" in run("promtool", "test", "rules", str(file))


@needs("systemd-analyze", "systemd")
def test_unit_leaves_the_process_little(tmp_path):
    unit = tmp_path / "icws-gateway.service"
    unit.write_text((DEPLOY / "icws-gateway.service").read_text())
    text = run("systemd-analyze", "security", "--offline=yes", "--threshold=20", str(unit))
    assert "OK" in text.splitlines()[-1], text


@needs("systemd-analyze", "systemd")
def test_unit_is_well_formed(tmp_path):
    unit = tmp_path / "icws-gateway.service"
    text = (DEPLOY / "icws-gateway.service").read_text()
    unit.write_text(re.sub(r"/opt/icws/bin/icws", "/bin/true", text))
    command = ["systemd-analyze", "verify", str(unit)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a tool of the system
    assert "Unknown" not in run.stderr, run.stderr
    assert "Failed to parse" not in run.stderr, run.stderr


def test_drain_fits_into_the_time_that_the_unit_and_the_container_allow():
    config = GatewayConfig()
    most = config.drain_seconds + 2 * config.close_timeout_seconds + 2
    unit = re.search(r"TimeoutStopSec=(\d+)", (DEPLOY / "icws-gateway.service").read_text())
    compose = re.search(r"stop_grace_period: (\d+)s", (DEPLOY / "compose.yaml").read_text())
    assert unit is not None
    assert compose is not None
    assert min(int(unit[1]), int(compose[1])) > most
