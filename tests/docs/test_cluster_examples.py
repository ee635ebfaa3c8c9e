"""The page on scaling and its examples: the scripts are well formed, and call options that exist."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from jnlp.cli import build_cli
from jnlp.plugins import installed, load_plugins
from jnlp.registry import import_target
from jnlp_ray.service import NAME, application, described
from tests.benchmarks.plan import plan


def check_call(words: list[str]) -> None:
    """Check that a command line of jnlp parses, without running it."""
    plugins = load_plugins([one for one in installed() if one.distribution == "jnlp"])
    cli = build_cli(plugins)
    assert words[0] == "jnlp"
    command = cli.get_command(click.Context(cli, info_name="jnlp", obj=plugins), words[1])
    assert command is not None
    made = command.make_context(words[1], words[2:], obj=plugins)
    assert made.params["executor"] == "ray"
    assert made.params["ray_address"]


@pytest.fixture
def examples(root: Path) -> Path:
    return root / "docs" / "examples" / "cluster"


def test_the_script_for_slurm_is_one_of_bash(examples: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    assert subprocess.run([bash, "-n", examples / "slurm.sh"], check=False).returncode == 0
    (call,) = [line for line in (examples / "slurm.sh").read_text("utf-8").splitlines() if line.startswith("jnlp ")]
    words = shlex.split(call.replace(' "${resume[@]}"', ""))
    check_call([word.replace("$address", "10.0.0.1:6379") for word in words])
    check_call([*words, "--resume"])


def test_the_manifest_of_kuberay_has_its_form(examples: Path) -> None:
    job: dict[str, Any] = yaml.safe_load((examples / "kuberay.yaml").read_text("utf-8"))
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    check_call(shlex.split(job["spec"]["entrypoint"].replace("auto", "head:6379")))
    check_cluster(job["spec"]["rayClusterSpec"])


def check_cluster(cluster: dict[str, Any]) -> None:
    """Check the description of a cluster of KubeRay."""
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert set(container["resources"]) == {"requests", "limits"}
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        assert {"name": "RAY_USAGE_STATS_ENABLED", "value": "0"} in container["env"]
    for group in cluster["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_the_service_of_kuberay_has_its_form(examples: Path) -> None:
    pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")
    from jnlp_serve.job import Job
    from jnlp_serve.options import TOKEN_VARIABLE

    service: dict[str, Any] = yaml.safe_load((examples / "kuberay-serve.yaml").read_text("utf-8"))
    assert (service["apiVersion"], service["kind"]) == ("ray.io/v1", "RayService")
    cluster = service["spec"]["rayClusterConfig"]
    check_cluster(cluster)
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        (container,) = group["template"]["spec"]["containers"]
        assert TOKEN_VARIABLE in {variable["name"] for variable in container["env"]}
    config = yaml.safe_load(service["spec"]["serveConfigV2"])
    (made,) = config["applications"]
    assert import_target(made["import_path"]) is application
    job = Job.from_json(described(made["args"]))
    (deployment,) = made["deployments"]
    assert deployment["name"] == NAME
    assert deployment["ray_actor_options"] == {"num_cpus": job.settings.threads}
    assert deployment["max_ongoing_requests"] == job.options.max_requests
    schema = pytest.importorskip("ray.serve.schema", reason="the extra 'ray' is not installed")
    schema.ServeDeploySchema.model_validate(config)


def test_the_plan_is_what_the_command_prints(root: Path) -> None:
    page = (root / "docs" / "scaling.md").read_text("utf-8")
    block = page.partition("<!-- plan -->\n")[2].partition("\n<!-- end plan -->")[0]
    assert block.splitlines() == plan(1_000_000_000, 200, 100, 16, 100, 0.04)
