"""The files that deploy workers, read as their tools read them."""

import json
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
WORKERS = ROOT / "workers"
VARIABLE = re.compile(r"\$\$|\$\{(\w+)(?::-((?:[^{}$]|\$\{[^{}]*\})*))?\}")


def interpolate(text, **environment):
    """``$$``, ``${NAME}`` and ``${NAME:-default}`` as the compose specification has them."""

    def value(found):
        if found[0] == "$$":
            return "$"
        return environment.get(found[1]) or interpolate(found[2] or "", **environment)

    return VARIABLE.sub(value, text)


def read_compose(**environment):
    """compose.yaml with its variables filled in and its numbers numbers."""
    read = yaml.safe_load(interpolate((WORKERS / "compose.yaml").read_text(), **environment))
    for service in read["services"].values():
        if "deploy" in service:
            service["deploy"]["replicas"] = int(service["deploy"]["replicas"])
    return read


def read_manifests():
    """The Kubernetes objects: file name, object."""
    for path in sorted((WORKERS / "k8s").glob("*.yaml")):
        for manifest in yaml.safe_load_all(path.read_text()):
            yield path.name, manifest


def pod_of(manifest):
    return manifest["spec"]["template"]["spec"]


def worker_commands():
    """What each deployment gives the entry point to start a worker: where, arguments."""
    for name, service in read_compose()["services"].items():
        if name.startswith("worker"):
            yield f"compose {name}", service["command"]
    for name, manifest in read_manifests():
        if manifest["kind"] == "Deployment":
            yield f"k8s {name}", pod_of(manifest)["containers"][0]["args"]


def deep_change(tree, path, value):
    """A copy of a tree with one value changed; path like ``services.init.image``."""
    changed = node = json.loads(json.dumps(tree))
    *way, last = path.split(".")
    for step in way:
        node = node[int(step) if step.isdigit() else step]
    node[last] = value
    return changed
