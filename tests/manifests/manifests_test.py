"""The Kubernetes manifests: what they render to, whether it is of Kubernetes' schemas, and that it asks for little.

Schemas: the models of the Python client (Debian's python3-kubernetes; generated from Kubernetes' own OpenAPI) for every
core kind and for the containers inside ConfigMaps; a list of fields kept here for cert-manager's. Needs python3-yaml too.
"""

import datetime
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import kubernetes.client
import kustomize
import security

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))
import rights  # noqa: E402

KUBERNETES = ROOT / "deploy" / "kubernetes"

MODELS = {
    ("v1", "Namespace"): "V1Namespace",
    ("v1", "ConfigMap"): "V1ConfigMap",
    ("v1", "ServiceAccount"): "V1ServiceAccount",
    ("rbac.authorization.k8s.io/v1", "Role"): "V1Role",
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): "V1RoleBinding",
    ("networking.k8s.io/v1", "NetworkPolicy"): "V1NetworkPolicy",
    ("apps/v1", "Deployment"): "V1Deployment",
    ("policy/v1", "PodDisruptionBudget"): "V1PodDisruptionBudget",
}

# cert-manager.io/v1, by its published API reference: field -> type, or a nested table.
NAME = {"name": str}
REFERENCE = {"name": str, "kind": str, "group": str}
CERT_MANAGER = {
    "Issuer": {"selfSigned": {}, "ca": {"secretName": str}},
    "Certificate": {
        "isCA": bool, "commonName": str, "secretName": str, "duration": str, "renewBefore": str, "usages": [str], "uris": [str], "dnsNames": [str],
        "issuerRef": REFERENCE, "privateKey": {"algorithm": str, "size": int, "rotationPolicy": str},
    },
}


def check_model(value, kind, path):
    """Every field known, every type right, every required field there. Fields of the model are in snake case."""
    simple = {"str": str, "int": int, "bool": bool, "float": float}
    if kind in simple:
        assert isinstance(value, simple[kind]) and not (kind == "int" and isinstance(value, bool)), "%s: %r is no %s" % (path, value, kind)
    elif kind == "object":
        assert isinstance(value, (str, int, dict)), path
    elif kind == "datetime":
        assert isinstance(value, (str, datetime.datetime)), path
    elif kind.startswith("list["):
        assert isinstance(value, list), "%s is no list" % path
        for index, item in enumerate(value):
            check_model(item, kind[5:-1], "%s[%d]" % (path, index))
    elif kind.startswith("dict("):
        assert isinstance(value, dict), "%s is no mapping" % path
        inner = kind[5:-1].split(", ")[1]
        for key, item in value.items():
            assert isinstance(key, str), "%s: key %r" % (path, key)
            check_model(item, inner, "%s.%s" % (path, key))
    else:
        model = getattr(kubernetes.client, kind)
        assert isinstance(value, dict), "%s is no mapping" % path
        by_name = {name: attribute for attribute, name in model.attribute_map.items()}
        arguments = {}
        for name, item in value.items():
            assert name in by_name, "%s: %s has no field %s" % (path, kind, name)
            check_model(item, model.openapi_types[by_name[name]], "%s.%s" % (path, name))
            arguments[by_name[name]] = item
        model(**arguments)  # raises for a required field that is not there, and for values out of an enumeration


def check_table(value, table, path):
    if isinstance(table, list):
        assert isinstance(value, list), path
        for item in value:
            check_table(item, table[0], path)
    elif isinstance(table, dict):
        for key, item in value.items():
            assert key in table, "%s: no field %s" % (path, key)
            check_table(item, table[key], path + "." + key)
    else:
        assert isinstance(value, table), "%s: %r" % (path, value)


class ManifestsTest(unittest.TestCase):
    def objects(self, overlay):
        return kustomize.render(KUBERNETES / "overlays" / overlay)

    def every(self):
        return [(overlay, item) for overlay in security.OVERLAYS for item in self.objects(overlay)]

    def test_every_object_is_of_its_kinds_schema(self):
        self.assertEqual(security.OVERLAYS, ["agent-container", "external-agent", "gateway"])
        for overlay, item in self.every():
            path = "%s: %s/%s" % (overlay, item["kind"], item["metadata"]["name"])
            with self.subTest(path):
                key = (item["apiVersion"], item["kind"])
                if item["apiVersion"] == "cert-manager.io/v1":
                    self.assertEqual(set(item), {"apiVersion", "kind", "metadata", "spec"})
                    check_model(item["metadata"], "V1ObjectMeta", path + ".metadata")
                    check_table(item["spec"], CERT_MANAGER[item["kind"]], path + ".spec")
                else:
                    check_model(item, MODELS[key], path)
        for overlay in security.OVERLAYS:
            for where, container in security.containers(overlay):
                # `executor` of Argo's configuration is a container without a name.
                check_model({"name": "executor", **container}, "V1Container", where)

    def test_the_schemas_refuse_what_is_wrong(self):
        deployment = next(i for _, i in self.every() if i["kind"] == "Deployment")
        wrong = [
            lambda pod: pod["containers"][0]["securityContext"].update(runAsRoot=True),
            lambda pod: pod["containers"][0].update(image=7),
            lambda pod: pod["containers"][0].pop("name"),
            lambda pod: pod.update(volumes=[{"name": "x", "emptydir": {}}]),
            lambda pod: pod["containers"][0].update(args=["serve", True]),
        ]
        for change in wrong:
            copy = json.loads(json.dumps(deployment))
            change(copy["spec"]["template"]["spec"])
            with self.assertRaises((AssertionError, ValueError)):
                check_model(copy, "V1Deployment", "")

    def test_what_is_checked_is_what_kustomize_renders(self):
        # No package of Debian or Ubuntu has a recent one. Without it, the renderer's own strictness has to do: it takes
        # nothing but `resources`.
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "kustomization.yaml").write_text("{apiVersion: kustomize.config.k8s.io/v1beta1, kind: Kustomization, resources: [], namePrefix: x}")
            with self.assertRaises(ValueError):
                kustomize.render(folder)
        for overlay in security.OVERLAYS if shutil.which("kubectl") else []:
            rendered = subprocess.run(["kubectl", "kustomize", str(KUBERNETES / "overlays" / overlay)], capture_output=True, text=True, check=True).stdout
            order = lambda items: sorted(items, key=lambda i: (i["kind"], i["metadata"]["name"]))
            self.assertEqual(order(kustomize.documents(rendered)), order(self.objects(overlay)))

    def test_all_containers_declare_the_restricted_standard_alike(self):
        context = security.declared()
        self.assertEqual(context, {
            "runAsUser": 8737, "runAsGroup": 8737, "runAsNonRoot": True, "readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
        })
        for overlay, item in self.every():
            if item["kind"] != "Deployment":
                continue
            pod = item["spec"]["template"]["spec"]
            for field in ("hostNetwork", "hostPID", "hostIPC", "hostUsers"):
                self.assertNotIn(field, pod)
            # The volumes that the standard admits.
            for volume in pod["volumes"]:
                self.assertLessEqual(set(volume) - {"name"}, {"configMap", "emptyDir", "secret", "projected", "persistentVolumeClaim", "downwardAPI", "csi", "ephemeral"})
        namespace = next(i for _, i in self.every() if i["kind"] == "Namespace")
        for mode in ("enforce", "audit", "warn"):
            self.assertEqual(namespace["metadata"]["labels"]["pod-security.kubernetes.io/" + mode], "restricted")

    def test_roles_grant_what_the_agent_uses_and_no_more(self):
        granted = {}
        for overlay, item in self.every():
            self.assertNotIn(item["kind"], ("ClusterRole", "ClusterRoleBinding"))
            for rule in item.get("rules", []):
                for group in rule["apiGroups"]:
                    for resource in rule["resources"]:
                        for verb in rule["verbs"]:
                            granted.setdefault(overlay, set()).add((group, resource, verb))
                self.assertNotIn("*", json.dumps(rule))
                # An empty list of names means all. A name can't be given for what has none yet.
                if "secrets" in rule["resources"]:
                    self.assertEqual(rule["resourceNames"], ["bulkhead-http-credentials"])
                if "leases" in rule["resources"] and rule["verbs"] != ["create"]:
                    self.assertEqual(rule["resourceNames"], ["bulkhead-agent"])
        self.assertEqual(granted, rights.ROLES)
        for overlay, item in self.every():
            if item["kind"] == "ServiceAccount":
                self.assertIs(item["automountServiceAccountToken"], False)
            if item["kind"] == "RoleBinding":
                self.assertEqual([s["kind"] for s in item["subjects"]], ["ServiceAccount"])

    def test_the_network_policy_denies_what_it_does_not_name(self):
        policies = [i for _, i in self.every() if i["kind"] == "NetworkPolicy"]
        self.assertEqual(len(policies), len(security.OVERLAYS))
        for policy in policies:
            self.assertEqual(policy["spec"]["policyTypes"], ["Ingress", "Egress"])
            self.assertEqual(policy["spec"]["ingress"], [])
            for rule in policy["spec"]["egress"]:
                self.assertTrue(rule["ports"])
                for peer in rule["to"]:
                    if "ipBlock" in peer:
                        self.assertTrue(peer["ipBlock"]["except"])
        labels = next(i for _, i in self.every() if i["kind"] == "Deployment")["spec"]["template"]["metadata"]["labels"]
        (expression,) = policies[0]["spec"]["podSelector"]["matchExpressions"]
        self.assertIn(labels[expression["key"]], expression["values"])

    def test_the_policies_in_the_manifests_are_right(self):
        bulkhead = os.environ["BULKHEAD"]
        for overlay, item in self.every():
            if item["metadata"]["name"] != "bulkhead-policy":
                continue
            with tempfile.TemporaryDirectory() as folder:
                for name, text in item["data"].items():
                    pathlib.Path(folder, name).write_text(text)
                check = subprocess.run([bulkhead, "policy", "check", folder], capture_output=True, text=True)
                self.assertEqual(check.returncode, 0, check.stderr)

    def test_references_between_the_objects_hold(self):
        for overlay in security.OVERLAYS:
            objects = self.objects(overlay)
            names = {(i["kind"], i["metadata"]["name"]) for i in objects}
            names |= {("Secret", i["spec"]["secretName"]) for i in objects if i["kind"] == "Certificate"}
            for item in objects:
                self.assertEqual(item["metadata"].get("namespace", "workflows"), "argo" if item["metadata"]["name"] == "workflow-controller-configmap" else "workflows")
                if item["kind"] == "RoleBinding":
                    self.assertIn(("Role", item["roleRef"]["name"]), names)
                    self.assertIn(("ServiceAccount", item["subjects"][0]["name"]), names)
                if item["kind"] == "Certificate":
                    self.assertIn(("Issuer", item["spec"]["issuerRef"]["name"]), names)
                if item["kind"] == "Deployment":
                    pod = item["spec"]["template"]["spec"]
                    self.assertIn(("ServiceAccount", pod["serviceAccountName"]), names)
                    for volume in pod["volumes"]:
                        source = volume.get("configMap") or volume.get("secret") or {}
                        name = source.get("name") or source.get("secretName")
                        if name and not source.get("optional"):
                            self.assertIn(name, {n for _, n in names})
                    mounted = {m["name"] for c in pod["containers"] for m in c["volumeMounts"]}
                    self.assertEqual(mounted, {v["name"] for v in pod["volumes"]})
            for _, container in security.containers(overlay):
                self.assertRegex(container["image"], r"^registry\.example\.com/bulkhead(-executor)?:\d+\.\d+\.\d+$")


if __name__ == "__main__":
    unittest.main()
