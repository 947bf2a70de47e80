"""The securityContext that the manifests declare, and what a container engine has to be told for the same."""

import pathlib
import sys

import kustomize

ROOT = pathlib.Path(__file__).resolve().parents[2]
OVERLAYS = sorted(p.name for p in (ROOT / "deploy" / "kubernetes" / "overlays").iterdir())


def containers(overlay):
    """(where, container) of everything in an overlay that a container is made of."""
    found = []
    for item in kustomize.render(ROOT / "deploy" / "kubernetes" / "overlays" / overlay):
        where = "%s: %s/%s" % (overlay, item["kind"], item["metadata"]["name"])
        if item["kind"] == "Deployment":
            pod = item["spec"]["template"]["spec"]
            found += [(where, c) for c in pod.get("initContainers", []) + pod["containers"]]
        elif item["kind"] == "ConfigMap":
            for key in ("sidecar.container", "executor"):
                if key in item["data"]:
                    found += [(where, c) for c in kustomize.documents(item["data"][key])]
    return found


def declared():
    """The one securityContext of all of them."""
    contexts = [(where, c["securityContext"]) for overlay in OVERLAYS for where, c in containers(overlay)]
    for where, context in contexts:
        if context != contexts[0][1]:
            raise ValueError("%s declares %s, %s declares %s" % (where, context, *contexts[0]))
    return contexts[0][1]


def engine_flags(context):
    """podman's flags for a securityContext, each of whose fields has to be one that is known here."""
    context = dict(context)
    flags = ["--user", "%d:%d" % (context.pop("runAsUser"), context.pop("runAsGroup"))]
    expected = {
        "runAsNonRoot": (True, []),
        "readOnlyRootFilesystem": (True, ["--read-only", "--read-only-tmpfs=false"]),
        "allowPrivilegeEscalation": (False, ["--security-opt", "no-new-privileges"]),
        "capabilities": ({"drop": ["ALL"]}, ["--cap-drop", "all"]),
        "seccompProfile": ({"type": "RuntimeDefault"}, []),  # what podman does unless told otherwise
    }
    for field, (value, more) in expected.items():
        if context.pop(field) != value:
            raise ValueError("%s is not %s" % (field, value))
        flags += more
    if context:
        raise ValueError("not known here: %s" % context)
    return flags


if __name__ == "__main__":
    print("\n".join(engine_flags(declared())))
    sys.exit(0)
