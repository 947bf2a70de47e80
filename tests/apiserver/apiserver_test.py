"""`bulkhead agent main` against Kubernetes' own API server, with Argo's own definition of WorkflowTaskSet and the rights of
the manifests in deploy/kubernetes, bound to a service account whose token the agent has.

APISERVER is the program (tests/apiserver/build). In each test a server of its own.
"""

import http.server
import json
import os
import pathlib
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / part) for part in ("integration", "support", "manifests")]
import kustomize  # noqa: E402
import rights  # noqa: E402
import security  # noqa: E402
from bulkhead_case import BulkheadCase  # noqa: E402
from fake_apiserver import FULFILLED, TASKSETS, certificates  # noqa: E402
from kube_case import KubeCase, side_policy, taskset, template  # noqa: E402
from real_apiserver import RealApiServer, free_port, path_of  # noqa: E402

PUBLISHED = ROOT.parent / "shared" / "reference" / "data" / "argo-v4.1.2" / "workflowtasksets.crd.yaml"
CRD = PUBLISHED if PUBLISHED.exists() else ROOT / "tests" / "apiserver" / "workflowtasksets.crd.yaml"
OVERLAYS = ROOT / "deploy" / "kubernetes" / "overlays"
ACCOUNT = "system:serviceaccount:argo:bulkhead-agent"
LIST = {"verb": "list", "resource": "workflowtasksets"}


class RealKubeCase(KubeCase):
    flags = ("--watch-cache=true",)
    overlay = "external-agent"

    def setUp(self):
        BulkheadCase.setUp(self)
        certificates(self.dir)
        self.api = RealApiServer(os.environ["APISERVER"], self.dir)
        self.addCleanup(self.api.stop)
        self.addCleanup(self.check_rights)
        self.flags_given = set()
        self.api.start(*self.flags)
        self.must(self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argo"}}))
        self.api.define(CRD)
        self.grant(self.overlay)
        self.token_file = self.dir / "sa-token"
        self.token_file.write_text(self.api.service_account_token("bulkhead-agent"))
        self.kubeconfig = self.api.kubeconfig(self.dir / "kubeconfig", {"tokenFile": str(self.token_file)})
        self.tokens = self.dir / "argo"
        self.tokens.mkdir()
        self.policy_file = self.write("policy.yaml", side_policy())
        self.started = 0

    def check_rights(self):
        asked = {(r["group"], r["resource"], r["verb"]) for r in self.api.asked(ACCOUNT)}
        self.assertLessEqual(asked, rights.of_flags(self.flags_given), "an agent asked for what no role grants")

    def must(self, answer):
        self.assertLess(answer[0], 300, str(answer[1])[:2000])
        return answer[1]

    def grant(self, overlay):
        """The service account, Role and RoleBinding of an overlay, in the tests' namespace."""
        for obj in kustomize.documents((OVERLAYS / overlay / "rbac.yaml").read_text()):
            obj["metadata"]["namespace"] = "argo"
            for subject in obj.get("subjects", []):
                subject["namespace"] = "argo"
            self.must(self.api.create(obj))

    def wait_for(self, condition, agent=None, timeout=30):
        holds = [False]

        def look():
            holds[0] = bool(condition())
            return holds[0] or (agent is not None and agent.process.poll() is not None)
        self.api.wait(look, timeout)
        if not holds[0] and not condition():
            self.fail("did not come to pass" + ("\n" + agent.text()[-6000:] if agent else ""))

    def add(self, *nodes, workflow="wf", connection=None):
        self.api.change(*TASKSETS, workflow, {"spec": {"tasks": {n: template(n) for n in nodes}}}, connection=connection)

    def lists(self):
        return [r for r in self.api.asked(ACCOUNT) if dict(r, **LIST) == r and r["stage"] == "ResponseComplete" and r["code"] == 200]

    def watches(self):
        return [r for r in self.api.asked(ACCOUNT) if r["verb"] == "watch" and r["stage"] == "ResponseStarted"]


class Protocol(RealKubeCase):
    def test_what_is_listed_and_what_comes_by_watch_gets_results_that_the_schema_admits(self):
        result = {"phase": "Succeeded", "message": "ok", "progress": "1/1",
                  "outputs": {"parameters": [{"name": "x", "value": "1"}], "result": "text"}}
        sidecar = self.sidecar(lambda call: {"node": result})
        self.api.put(*TASKSETS, taskset({"a": {}, "b": {"nested": [1, {"x": None}]}}))
        agent = self.agent()
        self.wait_phases(agent, {"a": "Succeeded", "b": "Succeeded"})
        self.add("c")
        self.wait_phases(agent, dict.fromkeys("abc", "Succeeded"))
        self.assertEqual(self.api.nodes(), dict.fromkeys("abc", result))
        self.assertEqual(sorted(sidecar.nodes()), ["a", "b", "c"])
        self.api.change(*TASKSETS, "wf", {"metadata": {"labels": {"workflows.argoproj.io/completed": "true"}}})
        self.assertEqual(agent.wait(), 0, agent.text())
        self.assertEqual({r["code"] for r in self.api.asked(ACCOUNT) if r["verb"] == "patch"}, {200})
        self.assert_verifies()

    def test_200_tasks_at_50_a_second_get_one_result_each(self):
        # Of 20 workflows: what the server does for a patch grows with the object, whoever sends it.
        sidecar = self.sidecar()
        workflows = ["w%02d" % i for i in range(20)]
        for workflow in workflows:
            self.api.put(*TASKSETS, taskset({}, workflow, "u-" + workflow))
        agent = self.agent("--all", workflow="", level="info")
        self.wait_for(self.watches, agent)
        names = ["n%03d" % i for i in range(200)]
        begun = time.monotonic()
        connection = self.api.connection(60)
        for index, name in enumerate(names):
            self.add(name, workflow=workflows[index % 20], connection=connection)
            time.sleep(max(0, begun + (index + 1) / 50 - time.monotonic()))
        added = time.monotonic() - begun

        def phases():
            nodes = {}
            for workflow in workflows:
                nodes.update({n: r.get("phase") for n, r in self.api.nodes(workflow).items()})
            return nodes
        self.wait_for(lambda: phases() == dict.fromkeys(names, "Succeeded"), agent, 60)
        print("200 tasks added in %.1f s, all results seen after %.1f s" % (added, time.monotonic() - begun))
        self.assertEqual(agent.terminate(), 0, agent.text())
        self.assertEqual(sorted(sidecar.nodes()), names)
        self.assertEqual(sorted(r["node"] for r in self.records("call")), names)
        patches = [r for r in self.api.asked(ACCOUNT) if r["verb"] == "patch"]
        self.assertTrue(patches and all(r["code"] == 200 for r in patches), patches)
        self.assert_verifies()

    def test_results_over_the_servers_limit_on_an_object_are_split(self):
        go = threading.Event()
        self.sidecar(lambda call: go.wait(20) and {"node": {"phase": "Succeeded", "outputs": {"result": call["node"][-1] * 250_000}}})
        self.api.put(*TASKSETS, taskset({"n%d" % i: {} for i in range(8)}))
        agent = self.agent()
        self.wait_for(lambda: "the agent runs" in agent.text(), agent)
        results = {}

        def reconcile():
            done = {n: r for n, r in self.api.nodes().items() if r.get("phase") in FULFILLED}
            for node, result in done.items():
                results.setdefault(node, []).append(result["outputs"]["result"])
            if done:
                self.api.change(*TASKSETS, "wf", {"status": {"nodes": dict.fromkeys(done)}}, sub="/status")
                self.api.change(*TASKSETS, "wf", {"spec": {"tasks": dict.fromkeys(done)}})
            return len(results) == 8
        go.set()
        self.wait_for(reconcile, agent, 60)
        self.assertEqual(results, {"n%d" % i: [str(i) * 250_000] for i in range(8)})
        self.assertEqual(agent.terminate(), 0, agent.text())

    def test_a_namespaces_task_sets_have_one_agent_at_a_time_by_a_lease(self):
        sidecar = self.sidecar()
        self.api.put(*TASKSETS, taskset({"a": {}}, "one", "u1"))
        first = self.agent("--all", "--lease", "bulkhead-agent", workflow="", name="-1")
        self.wait_phases(first, {"a": "Succeeded"}, "one")
        second = self.agent("--all", "--lease", "bulkhead-agent", workflow="", name="-2")
        self.wait_for(lambda: "standing by" in second.text(), second)
        self.api.put(*TASKSETS, taskset({"b": {}}, "two", "u2"))
        self.wait_phases(first, {"b": "Succeeded"}, "two")
        begun = time.monotonic()
        first.kill()
        self.add("c", workflow="one")
        self.wait_phases(second, {"a": "Succeeded", "c": "Succeeded"}, "one")
        self.assertLess(time.monotonic() - begun, 20)
        self.assertEqual(sorted(sidecar.nodes()), ["a", "b", "c"])
        self.assertEqual(second.terminate(), 0, second.text())
        # Given up in order: the next agent need not wait.
        lease = self.api.get("coordination.k8s.io", "leases", "bulkhead-agent")
        self.assertFalse(lease["spec"].get("holderIdentity"))


class Disturbed(RealKubeCase):
    # Without its cache the server asks etcd for every watch, so that a version is good for as long as etcd has it.
    flags = ("--watch-cache=false", "--etcd-compaction-interval=0")

    def test_a_restart_of_the_server_loses_nothing_and_the_watch_goes_on_from_its_version(self):
        sidecar = self.sidecar()
        self.api.put(*TASKSETS, taskset({"a": {}}))
        agent = self.agent()
        self.wait_phases(agent, {"a": "Succeeded"})
        self.wait_for(self.watches, agent)
        before = len(self.api.asked(ACCOUNT))
        self.api.stop()
        self.api.start()
        self.add("b")
        self.wait_phases(agent, {"a": "Succeeded", "b": "Succeeded"}, timeout=60)
        self.assertEqual(sorted(sidecar.nodes()), ["a", "b"])
        after = [r for r in self.api.asked(ACCOUNT) if r["stage"] != "RequestReceived"][before:]
        # While it starts, a server may refuse whatever it is asked; that is answered by a list.
        watches = [r for r in after if r["verb"] == "watch"]
        refused = [r["code"] for r in watches if r["code"] != 200]
        self.assertLessEqual(set(refused), {403, 503}, after)
        self.assertTrue(refused or not [r for r in after if "limit=" in r["uri"]], after)
        self.assertIn(200, [r["code"] for r in watches], after)
        self.assertNotIn(410, [r["code"] for r in after])
        self.assertEqual(agent.terminate(), 0, agent.text())

    def test_a_version_that_was_compacted_away_is_410_and_what_was_done_is_not_done_again(self):
        sidecar = self.sidecar()
        self.api.put(*TASKSETS, taskset({"a": {}}))
        agent = self.agent()
        self.wait_phases(agent, {"a": "Succeeded"})
        self.wait_for(lambda: "results delivered" in agent.text(), agent)
        version = self.api.get(*TASKSETS, "wf")["metadata"]["resourceVersion"]
        self.api.stop()
        # Where the agent does not reach it, much happens, and etcd forgets what was before.
        self.api.start("--watch-cache=false", "--etcd-compaction-interval=1s", port=free_port())
        self.add("b")
        path = path_of(*TASKSETS, "argo")

        def forgotten():
            self.api.change(*TASKSETS, "wf", {"metadata": {"annotations": {"now": str(time.monotonic())}}})
            status, answer = self.api.request("GET", path + "?watch=true&timeoutSeconds=1&resourceVersion=" + version)
            return status == 410 or b'"code":410' in (answer if isinstance(answer, bytes) else json.dumps(answer, separators=(",", ":")).encode())
        self.wait_for(forgotten, agent)
        self.api.stop()
        self.api.start("--watch-cache=false", "--etcd-compaction-interval=0")
        self.wait_phases(agent, {"a": "Succeeded", "b": "Succeeded"}, timeout=60)
        self.assertEqual(len([r for r in self.lists() if "limit=" in r["uri"]]), 2, agent.text()[-3000:])
        self.assertEqual(sorted(sidecar.nodes()), ["a", "b"])
        self.assertEqual(agent.terminate(), 0, agent.text())
        self.assert_verifies()


class Bookmarks(RealKubeCase):
    def test_a_bookmark_moves_the_version_from_which_the_next_watch_begins(self):
        # The server sends one a minute.
        self.sidecar()
        self.api.put(*TASKSETS, taskset({"a": {}}))
        agent = self.agent()
        self.wait_phases(agent, {"a": "Succeeded"})
        self.wait_for(self.watches, agent)
        # Of another workflow, of which this agent is told nothing, after both watches began: ours after the agent's, so
        # that its bookmark comes later.
        before = self.api.get(*TASKSETS, "wf")["metadata"]["resourceVersion"]
        self.api.watch(path_of(*TASKSETS, "argo"), before, lambda: self.api.put(*TASKSETS, taskset({"x": {}}, "other", "u2")),
                       lambda event: event["type"] == "BOOKMARK")
        version = int(self.api.get(*TASKSETS, "other")["metadata"]["resourceVersion"])
        watches = len(self.watches())
        self.api.stop()
        self.api.start()
        self.wait_for(lambda: len(self.watches()) > watches, agent)
        uri = self.watches()[watches]["uri"]
        begun_at = int(uri.split("resourceVersion=")[1].split("&")[0])
        self.assertGreaterEqual(begun_at, version)
        self.add("b")
        self.wait_phases(agent, {"a": "Succeeded", "b": "Succeeded"}, timeout=60)


class Rights(RealKubeCase):
    def test_a_wrong_token_is_refused_and_the_right_one_is_read_when_it_is_there(self):
        self.sidecar()
        self.api.put(*TASKSETS, taskset({"a": {}}))
        good = self.token_file.read_text()
        self.token_file.write_text("no-token-of-this-server")
        agent = self.agent()
        self.wait_for(lambda: "401" in agent.text() and "Unauthorized" in agent.text(), agent)
        self.assertEqual(self.api.nodes(), {})
        self.token_file.write_text(good)
        self.wait_phases(agent, {"a": "Succeeded"}, timeout=60)

    def test_a_server_of_another_authority_is_told_nothing(self):
        self.sidecar()
        other = self.dir / "other"
        other.mkdir()
        certificates(other)
        self.api.put(*TASKSETS, taskset({"a": {}}))
        self.kubeconfig = self.api.kubeconfig(self.dir / "kubeconfig", {"tokenFile": str(self.token_file)}, ca=str(other / "ca.crt"))
        agent = self.agent()
        self.wait_for(lambda: "certificate" in agent.text(), agent)
        self.assertEqual(self.api.asked(ACCOUNT), [])

    def test_a_missing_role_is_named_in_the_servers_own_words(self):
        self.sidecar()
        self.api.put(*TASKSETS, taskset({"a": {}}))
        binding = self.api.get("rbac.authorization.k8s.io", "rolebindings", "bulkhead-agent")
        self.api.delete("rbac.authorization.k8s.io", "rolebindings", "bulkhead-agent")
        self.wait_for(lambda: self.api.request("GET", path_of(*TASKSETS, "argo"), token=self.token_file.read_text())[0] == 403)
        agent = self.agent()
        self.wait_for(lambda: 'cannot list resource' in agent.text() and 'verbs [\\"list\\"]' in agent.text(), agent)
        binding["metadata"] = {"name": "bulkhead-agent", "namespace": "argo"}
        self.must(self.api.create(binding))
        self.wait_phases(agent, {"a": "Succeeded"}, timeout=60)

    def test_http_templates_get_the_secrets_that_the_role_names_and_no_other(self):
        class Server(http.server.BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                self.send_response(200 if self.headers.get("X-Key") == "sesame-open" else 403)
                self.end_headers()
        server = http.server.HTTPServer(("127.0.0.1", 0), Server)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        port = server.server_address[1]
        self.write("policy.yaml", json.dumps({
            "apiVersion": "bulkhead.dev/v1alpha1", "kind": "HttpEgressPolicy",
            "metadata": {"name": "web", "owner": "t@example.com", "reviewBy": "2099-01-01"},
            "spec": {"match": {"namespaces": ["*"], "templates": ["*"]},
                     "allow": [{"id": "it", "schemes": ["http"], "hosts": ["127.0.0.1"], "ports": [port], "methods": ["GET"],
                                "addresses": ["loopback"]}]}}) + "\n")
        document = taskset({})
        for name in ("bulkhead-http-credentials", "another"):
            self.must(self.api.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "argo"},
                                       "stringData": {"key": "sesame-open"}}))
            document["spec"]["tasks"][name] = {"name": name, "inputs": {}, "outputs": {}, "metadata": {}, "http": {
                "url": "http://127.0.0.1:%d/x" % port,
                "headers": [{"name": "X-Key", "valueFrom": {"secretKeyRef": {"name": name, "key": "key"}}}]}}
        self.api.put(*TASKSETS, document)
        agent = self.agent()
        self.wait_for(lambda: len(self.api.nodes()) == 2, agent)
        nodes = self.api.nodes()
        self.assertEqual(nodes["bulkhead-http-credentials"]["phase"], "Succeeded", nodes)
        self.assertIn(nodes["another"]["phase"], ("Error", "Failed"))
        self.assertIn("secrets", nodes["another"]["message"])
        codes = {(r["name"], r["code"]) for r in self.api.asked(ACCOUNT) if r["resource"] == "secrets" and r["stage"] == "ResponseComplete"}
        self.assertEqual(codes, {("bulkhead-http-credentials", 200), ("another", 403)})


class Manifests(RealKubeCase):
    def test_every_overlay_is_admitted_with_no_field_unknown(self):
        for overlay in security.OVERLAYS:
            with self.subTest(overlay):
                for obj in kustomize.render(OVERLAYS / overlay):
                    if obj["apiVersion"].startswith("cert-manager.io/"):
                        continue  # of a definition that is not here
                    status, answer = self.api.create(obj)
                    if status == 409 and answer["reason"] == "AlreadyExists":
                        continue  # another overlay has it too
                    self.assertLess(status, 300, "%s %s: %s" % (obj["kind"], obj["metadata"]["name"], answer))

    def test_pod_security_admits_their_containers_and_no_weaker_ones(self):
        for obj in kustomize.render(OVERLAYS / "external-agent"):
            if obj["kind"] in ("Namespace", "ServiceAccount"):
                self.must(self.api.create(obj))
        deployment = next(o for o in kustomize.render(OVERLAYS / "external-agent") if o["kind"] == "Deployment")
        pod_spec = deployment["spec"]["template"]["spec"]
        number = 0

        def create(change=None, container=None):
            nonlocal number
            number += 1
            spec = json.loads(json.dumps(pod_spec))
            if container is not None:
                spec["containers"] = [dict(container, name="c", volumeMounts=[])]
            if change is not None:
                change(spec)
            return self.api.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p%d" % number, "namespace": "workflows"}, "spec": spec})
        self.must(create())
        for overlay in security.OVERLAYS:
            for where, container in security.containers(overlay):
                with self.subTest(where):
                    self.must(create(container=container))
        weaker = {
            "root": lambda s: s["containers"][0]["securityContext"].update(runAsUser=0),
            "escalation": lambda s: s["containers"][0]["securityContext"].update(allowPrivilegeEscalation=True),
            "capabilities": lambda s: s["containers"][0]["securityContext"].update(capabilities={"add": ["NET_ADMIN"]}),
            "host": lambda s: s.update(hostNetwork=True),
            "path": lambda s: s["volumes"].append({"name": "h", "hostPath": {"path": "/"}}),
        }
        for name, change in weaker.items():
            with self.subTest(name):
                status, answer = create(change)
                self.assertEqual(status, 403, answer)
                self.assertIn("violates PodSecurity", answer["message"])
