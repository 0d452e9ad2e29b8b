"""What stands in deploy/ fits together, and fits the program."""

import dataclasses
import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import tomllib
from collections.abc import Hashable, Iterator, Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from starlette.routing import Route, WebSocketRoute

from collabd.app import create_app
from collabd.cli import parser
from collabd.server import LAST_MINUTE_SECONDS
from collabd.settings import Settings, load, refuse_exposure
from scripts.page import ROOT

DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
LONGEST_SILENCE = next(
    field.metadata["maximum"] for field in dataclasses.fields(Settings) if field.name == "keepalive_seconds"
)


class Strict(yaml.SafeLoader):
    """Refuses what one key says twice, of which YAML takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key is there twice: {keys}"
        return super().construct_mapping(node, deep)


def parsed(path: Path) -> list[dict[str, Any]]:
    """The documents of a YAML file."""
    return list(yaml.load_all(path.read_text(), Strict))


def seconds(text: str) -> int:
    assert re.fullmatch(r"\d+s", text), text
    return int(text[:-1])


# The image


def instructions() -> list[tuple[str, str]]:
    """Name and arguments of each instruction of the Dockerfile."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines if line)]


def said(name: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == name]


def image_variables() -> dict[str, str]:
    (environment,) = said("ENV")
    return dict(word.split("=", 1) for word in shlex.split(environment))


def settings_of(variables: Mapping[str, str], directory: Path) -> Settings:
    """What a server would be set to by these variables, those of the image, and the file of compose.yaml."""
    given = {name: text for name, text in variables.items() if name.startswith("COLLABD_")}
    if "COLLABD_CONFIG" in given:
        given["COLLABD_CONFIG"] = str(DEPLOY / "collabd.toml")
    image = {name: text for name, text in image_variables().items() if name.startswith("COLLABD_")}
    return load({}, image | given, directory)


def routes() -> set[str]:
    app = create_app(Settings(store="memory:"))
    return {route.path for route in app.routes if isinstance(route, Route | WebSocketRoute)}


def test_the_image_copies_what_is_there_and_what_the_engine_is_sent() -> None:
    sent = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    for arguments in said("COPY"):
        if arguments.startswith("--from"):
            continue
        for source in arguments.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert f"!{source}" in sent, source


def test_the_image_holds_what_servers_in_numbers_take() -> None:
    (install,) = [command for command in said("RUN") if "pip install" in command]
    extras = re.search(r"'\.\[([\w,]+)\]'", install)
    assert extras is not None
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {"postgres", "redis"} <= set(extras[1].split(",")) <= set(known)
    assert "-c constraints.txt" in install


def test_nobody_is_root_in_the_image_at_the_end() -> None:
    stages = " ".join(name for name, _ in instructions()).split("FROM")
    assert "USER" in stages[-1]
    (user,) = said("USER")
    assert int(user.split(":")[0]) > 0
    assert f"--uid {user.split(':')[0]} " in " ".join(said("RUN"))


def test_the_image_s_health_is_looked_at_where_it_listens() -> None:
    (check,) = said("HEALTHCHECK")
    command = json.loads(check.partition("CMD ")[2])
    compile(command[2], "healthcheck", "exec")
    address = re.search(r"http://127\.0\.0\.1:(\d+)(/\w+)", command[2])
    assert address is not None
    assert [address[1]] == said("EXPOSE") == [image_variables()["COLLABD_PORT"]]
    assert address[2] in routes()


def test_the_image_alone_listens_to_strangers_with_rules_only(tmp_path: Path) -> None:
    settings = settings_of({}, tmp_path)
    assert settings.host == "0.0.0.0"
    with pytest.raises(Exception, match="there are no rules"):
        refuse_exposure(settings)


# Compose


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    (document,) = parsed(DEPLOY / "compose.yaml")
    return document


@pytest.fixture(scope="module")
def nginx() -> str:
    return re.sub(r"#.*", "", (DEPLOY / "nginx.conf").read_text())


NODES = ("collabd-1", "collabd-2")


@pytest.mark.parametrize("node", NODES)
def test_servers_of_compose_are_set_to_what_exists(
    compose: dict[str, Any], node: str, tmp_path: Path
) -> None:
    service = compose["services"][node]
    settings = settings_of(service["environment"], tmp_path)
    refuse_exposure(settings)
    # Providers and rules are read where the application is made.
    create_app(dataclasses.replace(settings, store="memory:", redis=""))
    assert seconds(service["stop_grace_period"]) > settings.shutdown_seconds + LAST_MINUTE_SECONDS
    assert urlsplit(settings.store).hostname in compose["services"]
    assert urlsplit(settings.redis).hostname in compose["services"]
    (network,) = compose["networks"]["default"]["ipam"]["config"]
    assert settings.trusted_proxies == network["subnet"]
    address = ip_address(service["networks"]["default"]["ipv4_address"])
    assert address in ip_network(network["subnet"])
    assert address not in ip_network(network["ip_range"]), "somebody else may get it"


def test_what_compose_mounts_and_waits_for_is_there(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for waited_for in service.get("depends_on", {}):
            condition = service["depends_on"][waited_for]["condition"]
            has_check = "healthcheck" in compose["services"][waited_for] or waited_for in NODES
            assert has_check or condition == "service_started", (name, waited_for)
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("./secrets"):
                continue  # by make-secrets
            known = (DEPLOY / source).exists() if source.startswith(".") else source in compose["volumes"]
            assert known, (name, source)


def test_ports_and_names_of_compose_agree(compose: dict[str, Any], nginx: str, tmp_path: Path) -> None:
    settings = settings_of(compose["services"]["collabd-1"]["environment"], tmp_path)
    (provider,) = settings.providers
    balancer, keycloak = compose["services"]["balancer"], compose["services"]["keycloak"]["environment"]
    public, issuer = urlsplit(settings.public_url), urlsplit(provider["issuer"])
    (published,) = balancer["ports"]
    assert published == f"127.0.0.1:{public.port}:{public.port}"
    assert set(re.findall(r"listen (\d+)", nginx)) == {str(public.port)}
    names = re.findall(r"server_name (.*);", nginx)
    assert names == balancer["networks"]["default"]["aliases"] == [public.hostname, issuer.hostname]
    assert re.findall(r"server (\S+):(\d+)", nginx) == [(node, str(settings.port)) for node in NODES]
    assert re.findall(r"proxy_pass http://(\w+)", nginx) == ["collabd", "keycloak"]

    realm = json.loads((DEPLOY / "realm.json").read_text())
    assert provider["issuer"] == f"{keycloak['KC_HOSTNAME']}/realms/{realm['realm']}"
    (client,) = realm["clients"]
    assert client["clientId"] == provider["client_id"]
    back = f"/auth/callback/{provider['name']}"
    assert client["redirectUris"] == [settings.public_url + back]
    assert client["attributes"]["post.logout.redirect.uris"] == f"{settings.public_url}/"
    logout = urlsplit(client["attributes"]["backchannel.logout.url"])
    assert (logout.hostname, logout.port) == (NODES[0], settings.port)
    assert logout.path == f"/auth/backchannel-logout/{provider['name']}"
    assert {"/auth/callback/{provider}", "/auth/backchannel-logout/{provider}"} <= routes()


def test_secrets_are_made_once_and_are_those_that_compose_asks_for(
    compose: dict[str, Any], nginx: str, tmp_path: Path
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on PATH")
    shutil.copy(DEPLOY / "make-secrets", tmp_path)
    script = tmp_path / "make-secrets"
    subprocess.run([script], check=True, capture_output=True)
    made = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    subprocess.run([script], check=True, capture_output=True)
    assert {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()} == made
    variables = {line.split("=")[0] for line in (tmp_path / ".env").read_text().splitlines()}
    assert variables == set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    certificate, key = tmp_path / "secrets" / "server.pem", tmp_path / "secrets" / "server.key"
    for private in (tmp_path / ".env", key):
        assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert f"/secrets/{certificate.name};" in nginx
    assert f"/secrets/{key.name};" in nginx
    for name in re.findall(r"server_name (.*);", nginx):
        verified = ["openssl", "verify", "-CAfile", certificate, "-verify_hostname", name, certificate]
        done = subprocess.run(verified, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_secrets_are_not_for_the_repository() -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"/deploy/.env", "/deploy/secrets/"} <= set(ignored)


# Proxies


def test_proxies_are_more_patient_than_servers_are_silent(nginx: str) -> None:
    (patience,) = re.findall(r"proxy_read_timeout (\w+);", nginx)
    assert seconds(patience) > 2 * LONGEST_SILENCE


def test_proxies_take_bodies_as_large_as_servers_do(nginx: str) -> None:
    (largest,) = re.findall(r"client_max_body_size (\d+)m;", nginx)
    assert int(largest) * 2**20 == Settings().max_body_bytes


@pytest.mark.parametrize("name", ["nginx.conf", "Caddyfile", "kubernetes/ingress.yaml"])
def test_proxies_do_not_publish_figures(name: str) -> None:
    assert "/metrics" in routes()
    assert "/metrics" in (DEPLOY / name).read_text()


def test_caddy_looks_at_what_servers_answer() -> None:
    text = (DEPLOY / "Caddyfile").read_text()
    assert re.findall(r"health_uri (\S+)", text) == ["/readyz"]
    assert f"reverse_proxy 127.0.0.1:{Settings().port} {{" in text


# systemd


def test_the_unit_starts_a_server_and_waits_for_its_end() -> None:
    lines = [line for line in (DEPLOY / "collabd.service").read_text().splitlines() if "=" in line]
    unit = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    program, *arguments = shlex.split(unit["ExecStart"])
    assert Path(program).name == "collabd"
    given = vars(parser().parse_args(arguments))
    assert given.pop("command") == "serve"
    assert given.pop("config").startswith("/etc/collabd/")
    settings = load(given, {})
    assert int(unit["TimeoutStopSec"]) > settings.shutdown_seconds + LAST_MINUTE_SECONDS
    assert unit["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert urlsplit(settings.store).path.startswith(f"/{unit['WorkingDirectory']}/")


# Kubernetes


@pytest.fixture(scope="module")
def objects() -> dict[tuple[str, str], Any]:
    """What kustomization.yaml puts together, by kind and name."""
    (kustomization,) = parsed(KUBERNETES / "kustomization.yaml")
    files = {path.name for path in KUBERNETES.iterdir()} - {"kustomization.yaml"}
    assert set(kustomization["resources"]) == files
    documents = [document for name in kustomization["resources"] for document in parsed(KUBERNETES / name)]
    return {(document["kind"], document["metadata"]["name"]): document for document in documents}


@pytest.fixture(scope="module")
def pod(objects: dict[tuple[str, str], Any]) -> dict[str, Any]:
    specification: dict[str, Any] = objects["Deployment", "collabd"]["spec"]["template"]["spec"]
    return specification


@pytest.fixture(scope="module")
def container(pod: dict[str, Any]) -> dict[str, Any]:
    (container,) = pod["containers"]
    assert isinstance(container, dict)
    return container


def variables_of(container: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for variable in container["env"]:
        secret = variable.get("valueFrom", {}).get("secretKeyRef", {}).get("key")
        yield (
            variable["name"],
            variable.get("value") or {"store": "postgresql://h/d", "redis": "redis://h"}[secret],
        )


def test_pods_are_set_to_what_exists(container: dict[str, Any], tmp_path: Path) -> None:
    settings = settings_of(dict(variables_of(container)), tmp_path)
    refuse_exposure(settings)
    (port,) = container["ports"]
    assert port["containerPort"] == settings.port


def test_pods_have_the_time_that_stopping_takes(
    pod: dict[str, Any], container: dict[str, Any], tmp_path: Path
) -> None:
    settings = settings_of(dict(variables_of(container)), tmp_path)
    sleep, before = container["lifecycle"]["preStop"]["exec"]["command"]
    assert sleep == "sleep"
    needed = int(before) + settings.shutdown_seconds + LAST_MINUTE_SECONDS
    assert pod["terminationGracePeriodSeconds"] > needed
    probe = container["readinessProbe"]
    assert int(before) > probe["periodSeconds"] * probe["failureThreshold"]


def test_probes_ask_what_servers_answer(container: dict[str, Any]) -> None:
    paths = {
        kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")
    }
    # A database that is away is no reason to start servers anew.
    assert paths == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    assert set(paths.values()) <= routes()
    (port,) = container["ports"]
    for kind in paths:
        assert container[f"{kind}Probe"]["httpGet"]["port"] == port["name"]


def test_who_is_sent_to_pods_finds_them(
    objects: dict[tuple[str, str], Any], container: dict[str, Any]
) -> None:
    deployment = objects["Deployment", "collabd"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    service = objects["Service", "collabd"]["spec"]
    for selector in (
        deployment["selector"]["matchLabels"],
        service["selector"],
        objects["PodDisruptionBudget", "collabd"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
    assert service["ports"][0]["targetPort"] == container["ports"][0]["name"]
    assert "selector" not in objects["Service", "nobody"]["spec"], "it leads nowhere"
    (rule,) = objects["Ingress", "collabd"]["spec"]["rules"]
    backends = {path["path"]: path["backend"]["service"] for path in rule["http"]["paths"]}
    assert {path: backend["name"] for path, backend in backends.items()} == {
        "/metrics": "nobody",
        "/": "collabd",
    }
    assert {backend["port"]["name"] for backend in backends.values()} == {service["ports"][0]["name"]}


def test_the_ingress_is_as_patient_as_nginx(objects: dict[tuple[str, str], Any]) -> None:
    annotations = objects["Ingress", "collabd"]["metadata"]["annotations"]
    said = {name.rpartition("/")[2]: text for name, text in annotations.items()}
    assert int(said["proxy-read-timeout"]) > 2 * LONGEST_SILENCE
    assert said["proxy-body-size"] == f"{Settings().max_body_bytes // 2**20}m"


def test_pods_may_do_no_more_than_they_need(pod: dict[str, Any], container: dict[str, Any]) -> None:
    assert pod["enableServiceLinks"] is False, "variables COLLABD_* of Services would be refused"
    assert pod["securityContext"]["runAsUser"] == int(said("USER")[0].split(":")[0])
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts.keys() == {volume["name"] for volume in pod["volumes"]}


def test_every_secret_that_pods_need_is_documented(container: dict[str, Any], pod: dict[str, Any]) -> None:
    keys = {
        variable["valueFrom"]["secretKeyRef"]["key"]
        for variable in container["env"]
        if "valueFrom" in variable
    }
    keys |= {item["key"] for volume in pod["volumes"] for item in volume.get("secret", {}).get("items", ())}
    text = (ROOT / "docs" / "deploy.md").read_text()
    for key in keys:
        assert re.search(rf"--from-(literal|file)={key}=", text), key


# The page about it


def test_every_file_is_documented() -> None:
    text = (ROOT / "docs" / "deploy.md").read_text()
    for path in DEPLOY.iterdir():
        if path.name not in (".env", "secrets"):
            assert f"../deploy/{path.name})" in text, path.name


def test_scripts_can_be_executed() -> None:
    assert os.access(DEPLOY / "make-secrets", os.X_OK)
