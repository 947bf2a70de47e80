"""Kubernetes' own API server (tests/apiserver), with as much of FakeApiServer's surface as the tests of agents use.

One process with its etcd inside. RBAC decides; the tests' own requests are an administrator's. Its audit log tells who
asked for what.
"""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import time

ADMIN = "token-of-the-administrator"


def path_of(group, plural, namespace=None, name=None, version="v1"):
    path = "/api/v1" if not group else "/apis/%s/%s" % (group, "v1alpha1" if group == "argoproj.io" else version)
    path += "/namespaces/" + namespace if namespace else ""
    return path + "/" + plural + ("/" + name if name else "")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class RealApiServer:
    def __init__(self, program, folder):
        """`folder` has the files of fake_apiserver.certificates."""
        self.program, self.folder = program, pathlib.Path(folder)
        self.port = free_port()
        self.process = None
        self.flags = ()
        ec = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "sa.key"]
        subprocess.run(ec, cwd=self.folder, check=True, capture_output=True)
        subprocess.run(["openssl", "ec", "-in", "sa.key", "-pubout", "-out", "sa.pub"], cwd=self.folder, check=True, capture_output=True)
        (self.folder / "tokens.csv").write_text(ADMIN + ',admin,admin,"system:masters"\n')
        (self.folder / "audit-policy.yaml").write_text(json.dumps({
            "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
            "rules": [{"level": "None", "users": ["system:apiserver", "admin"]}, {"level": "Metadata"}]}))

    # --- life ---

    def start(self, *flags, port=None):
        self.flags = flags or self.flags
        port = port or self.port
        log = open(self.folder / "apiserver.log", "ab")
        with log:
            self.process = subprocess.Popen(
                [self.program, str(self.folder / "state"), "--bind-address=127.0.0.1", "--secure-port=%d" % port,
                 "--tls-cert-file=server.crt", "--tls-private-key-file=server.key", "--cert-dir=certs",
                 "--token-auth-file=tokens.csv", "--anonymous-auth=false", "--authorization-mode=RBAC",
                 "--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=sa.pub",
                 "--service-account-signing-key-file=sa.key", "--service-cluster-ip-range=10.0.0.0/24",
                 "--audit-log-path=" + str(self.folder / "audit-of-apiserver.jsonl"), "--audit-policy-file=audit-policy.yaml", *self.flags],
                stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=self.folder, env=dict(os.environ, GOMAXPROCS="2"))
        self.at = port
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.request("GET", "/readyz", timeout=2)[0] == 200:
                    return self
            time.sleep(0.1)
        self.stop()
        raise AssertionError("the API server does not start\n" + (self.folder / "apiserver.log").read_text()[-4000:])

    def stop(self):
        """As a killed process."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        self.process = None

    # --- requests ---

    def connection(self, timeout=10):
        context = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        return http.client.HTTPSConnection("127.0.0.1", self.at, context=context, timeout=timeout)

    def request(self, method, path, body=None, token=ADMIN, content_type="application/json", timeout=30, connection=None):
        """One request, on a connection of its own unless one is given."""
        kept, connection = connection, connection or self.connection(timeout)
        try:
            data = body if body is None or isinstance(body, (str, bytes)) else json.dumps(body)
            connection.request(method, path, data, {"Authorization": "Bearer " + token, "Content-Type": content_type})
            answer = connection.getresponse()
            text = answer.read()
            try:
                return answer.status, json.loads(text)
            except ValueError:
                return answer.status, text
        finally:
            if kept is None:
                connection.close()

    def good(self, *args, **kwargs):
        status, answer = self.request(*args, **kwargs)
        assert 200 <= status < 300, "%s: %s %s" % (args[:2], status, answer)
        return answer

    def create(self, obj, plural=None, **kwargs):
        """Any object, with every unknown field refused."""
        group, _, version = obj["apiVersion"].rpartition("/")
        plural = plural or obj["kind"].lower() + ("ies" if obj["kind"].endswith("y") else "s")
        plural = plural.replace("yies", "ies")
        path = path_of(group, plural, obj["metadata"].get("namespace"), version=version)
        return self.request("POST", path + "?fieldValidation=Strict", obj, **kwargs)

    def define(self, crd):
        self.good("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", pathlib.Path(crd).read_bytes(), content_type="application/yaml")
        assert self.wait(lambda: self.request("GET", path_of("argoproj.io", "workflowtasksets", "argo"))[0] == 200)

    def service_account_token(self, name, namespace="argo"):
        path = path_of("", "serviceaccounts", namespace, name) + "/token"
        return self.good("POST", path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})["status"]["token"]

    def watch(self, path, version, begun, until, timeout=90):
        """The first event for which `until` holds of a watch with bookmarks. `begun` is called once it is answered."""
        connection = self.connection(timeout)
        try:
            connection.request("GET", path + "?watch=true&allowWatchBookmarks=true&timeoutSeconds=300&resourceVersion=" + version,
                               headers={"Authorization": "Bearer " + ADMIN})
            answer = connection.getresponse()
            begun()
            for line in answer:
                event = json.loads(line)
                if until(event):
                    return event
        finally:
            connection.close()
        raise AssertionError("no such event came")

    def asked(self, user_part):
        """(verb, resource[/subresource], group, code, URI) of each request of users whose name has `user_part`."""
        found = []
        path = self.folder / "audit-of-apiserver.jsonl"
        for line in path.read_text().splitlines() if path.exists() else []:
            try:
                event = json.loads(line)
            except ValueError:
                continue  # is being written, or was when the server was killed
            ref = event.get("objectRef") or {}
            if user_part in event["user"].get("username", "") and "resource" in ref:
                resource = ref["resource"] + ("/" + ref["subresource"] if "subresource" in ref else "")
                code = (event.get("responseStatus") or {}).get("code")
                found.append({"verb": event["verb"], "resource": resource, "group": ref.get("apiGroup", ""), "name": ref.get("name", ""),
                              "code": code, "stage": event["stage"], "uri": event["requestURI"]})
        return found

    # --- as FakeApiServer has it ---

    def put(self, group, plural, obj):
        obj.setdefault("metadata", {}).setdefault("namespace", "argo")
        return self.good("POST", path_of(group, plural, obj["metadata"]["namespace"]), obj)

    def change(self, group, plural, name, patch, namespace="argo", sub="", connection=None):
        return self.good("PATCH", path_of(group, plural, namespace, name) + sub, patch, content_type="application/merge-patch+json",
                         connection=connection)

    def delete(self, group, plural, name, namespace="argo"):
        self.good("DELETE", path_of(group, plural, namespace, name))

    def get(self, group, plural, name, namespace="argo"):
        status, obj = self.request("GET", path_of(group, plural, namespace, name))
        return obj if status == 200 else None

    def nodes(self, name="wf", namespace="argo"):
        return (self.get("argoproj.io", "workflowtasksets", name, namespace) or {}).get("status", {}).get("nodes", {})

    def wait(self, condition, timeout=30):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if condition():
                return True
            time.sleep(0.05)
        return False

    def kubeconfig(self, path, user, ca=None):
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:%d" % self.port,
                                                   "certificate-authority": ca or str(self.folder / "ca.crt")}}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u", "namespace": "argo"}}],
        }
        pathlib.Path(path).write_text(json.dumps(config))
        return str(path)
