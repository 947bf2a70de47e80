"""A strict renderer of the part of kustomize that deploy/kubernetes uses: `resources`, nothing else.

Whatever else stands in a kustomization is an error, so that a test can't pass on manifests that kustomize would change.
"""

import pathlib

import yaml


class StrictLoader(yaml.SafeLoader):
    """YAML without duplicate keys."""


def mapping(loader, node, deep=False):
    seen = set()
    for key, _ in node.value:
        name = loader.construct_object(key, deep=True)
        if name in seen:
            raise ValueError("%s: key %r stands twice" % (key.start_mark, name))
        seen.add(name)
    return loader.construct_mapping(node, deep=deep)


StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)


def documents(text):
    return [d for d in yaml.load_all(text, StrictLoader) if d is not None]


def render(folder):
    """All objects of a kustomization, in its order."""
    folder = pathlib.Path(folder)
    (kustomization,) = documents((folder / "kustomization.yaml").read_text())
    if set(kustomization) != {"apiVersion", "kind", "resources"} or kustomization["kind"] != "Kustomization":
        raise ValueError("%s: only `resources` is rendered here, not %s" % (folder, sorted(kustomization)))
    objects = []
    for resource in kustomization["resources"]:
        path = folder / resource
        if path.is_dir():
            objects += render(path)
        else:
            objects += documents(path.read_text())
    names = [(o["apiVersion"], o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in objects]
    doubled = {n for n in names if names.count(n) > 1}
    if doubled:
        raise ValueError("%s: defined twice: %s" % (folder, doubled))
    return objects
