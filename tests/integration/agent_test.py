"""`bulkhead agent main` and `init` against an API server: the task set comes to its results whatever happens between."""

import hashlib
import http.server
import json
import os
import pathlib
import stat
import subprocess
import threading
import time

from bulkhead_case import BULKHEAD, OK_ANSWER, plugin, policy
from kube_case import LEASES, TASKSETS, UID, Controller, KubeCase, rights, side_policy, taskset, template


class AgentMain(KubeCase):
    def test_tasks_of_a_sidecar_get_their_results_at_once_and_the_agent_ends_with_the_workflow(self):
        sidecar = self.sidecar()
        self.api.put(*TASKSETS, taskset({"a": {}, "b": {}}))
        agent = self.agent()
        self.wait_phases(agent, {"a": "Succeeded", "b": "Succeeded"})
        # A task that is added later does not wait for a tick.
        begun = time.monotonic()
        self.api.change(*TASKSETS, "wf", {"spec": {"tasks": {"c": template("c")}}})
        self.wait_phases(agent, {n: "Succeeded" for n in "abc"})
        self.assertLess(time.monotonic() - begun, 2)
        self.assertEqual(sorted(sidecar.nodes()), ["a", "b", "c"])
        metadata = sidecar.calls[0]["args"]["workflow"]["metadata"]
        self.assertEqual(metadata, {"name": "wf", "namespace": "argo", "uid": UID})
        self.assertEqual(sidecar.calls[0]["args"]["template"]["metadata"]["labels"], {"App": "1", "app": "2"})
        self.api.change(*TASKSETS, "wf", {"metadata": {"labels": {"workflows.argoproj.io/completed": "true"}}})
        self.assertEqual(agent.wait(), 0, agent.text())
        self.assert_verifies()
        self.assertEqual([r["applied"] for r in self.records("call")], [True] * 3)
        self.assertEqual(self.records("plugin.start")[0]["tier"], "sidecar")

    def test_a_sidecar_is_not_called_where_no_policy_allows_plain_http(self):
        for transport in (None, "mtls"):
            with self.subTest(transport=transport):
                sidecar = self.sidecar()
                self.write("policy.yaml", side_policy(transport))
                self.api.put(*TASKSETS, taskset({"a": {}}))
                agent = self.agent(name=str(transport))
                self.wait_phases(agent, {"a": "Failed"})
                self.assertIn("transport: plaintext-loopback", self.api.nodes()["a"]["message"])
                self.assertEqual(sidecar.calls, [])
                agent.kill()

    def test_the_policy_judges_a_sidecar_too(self):
        self.sidecar(lambda call: {"node": {"phase": "Succeeded", "outputs": {"exitCode": "0"}}})
        self.api.put(*TASKSETS, taskset({"a": {}}))
        agent = self.agent()
        self.wait_phases(agent, {"a": "Error"})
        self.assertIn("refused by policy", self.api.nodes()["a"]["message"])

    def test_a_plugin_is_launched_from_a_configmap_with_env_from_the_api(self):
        answer = """
def answer(h, act, args):
    h.reply({'node': {'phase': 'Succeeded', 'message': '%s %s %s %s' % (
        os.environ['PASSWORD'], os.environ['COLOUR'], os.environ['NODE'], os.environ.get('ABSENT', 'unset'))}})
"""
        env = [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "creds", "key": "password"}}},
               {"name": "ABSENT", "valueFrom": {"secretKeyRef": {"name": "nowhere", "key": "x", "optional": True}}},
               {"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "paint", "key": "colour"}}},
               {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]
        container = plugin("side", answer, 14361, env=env)["spec"]["sidecar"]["container"]
        self.api.put("", "configmaps", {"metadata": {
            "name": "side-executor-plugin", "labels": {"workflows.argoproj.io/configmap-type": "ExecutorPlugin"},
            "annotations": {"bulkhead.dev/handles": "side"}},
            "data": {"sidecar.container": json.dumps(container), "sidecar.automountServiceAccountToken": "false"}})
        self.api.put("", "configmaps", {"metadata": {"name": "paint"}, "data": {"colour": "green"}})
        self.api.put("", "secrets", {"metadata": {"name": "creds"}, "data": {"password": "aHVudGVyMi1odW50ZXIy"}})
        self.api.put("", "pods", {"metadata": {"name": os.uname().nodename}, "spec": {"nodeName": "node-7"}})
        self.api.put(*TASKSETS, taskset({"a": {}}))
        agent = self.agent("--plugin-configmap", "side-executor-plugin")
        self.wait_phases(agent, {"a": "Succeeded"}, timeout=60)
        self.assertEqual(self.api.nodes()["a"]["message"], "[REDACTED:creds/password] green node-7 unset")
        self.assertNotIn("hunter2", agent.text())
        self.assertEqual(agent.terminate(), 0, agent.text())

    def test_the_workflows_own_plugins_stand_for_all_others(self):
        manifest = plugin("side", OK_ANSWER, 14362)
        other = plugin("other", OK_ANSWER, 14363)
        self.write("plugins/other.json", other)
        del manifest["apiVersion"], manifest["kind"]
        self.api.put("argoproj.io", "workflows", {"metadata": {"name": "wf"}, "spec": {"executorPlugins": [manifest]}})
        self.api.put(*TASKSETS, taskset({"a": {}}))
        agent = self.agent("--workflow-plugins", "--plugins", self.dir / "plugins")
        self.wait_phases(agent, {"a": "Succeeded"}, timeout=60)
        self.assertEqual(agent.terminate(), 0, agent.text())
        self.assertEqual({r["plugin"] for r in self.records("plugin.start")}, {"side"})

    def test_http_templates_run_beside_plugins_with_secrets_from_the_api(self):
        self.sidecar()
        seen = []

        class Server(http.server.BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                seen.append((self.path, self.headers.get("X-Key")))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"key was " + (self.headers.get("X-Key") or "").encode())
        server = http.server.HTTPServer(("127.0.0.1", 0), Server)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        port = server.server_address[1]
        egress = {"apiVersion": "bulkhead.dev/v1alpha1", "kind": "HttpEgressPolicy",
                  "metadata": {"name": "web", "owner": "t@example.com", "reviewBy": "2099-01-01"},
                  "spec": {"match": {"namespaces": ["*"], "templates": ["*"]},
                           "allow": [{"id": "it", "schemes": ["http"], "hosts": ["127.0.0.1"], "ports": [port], "methods": ["GET"],
                                      "addresses": ["loopback"]}]}}
        self.write("policy.yaml", side_policy() + "---\n" + json.dumps(egress) + "\n")
        self.api.put("", "secrets", {"metadata": {"name": "web"}, "data": {"key": "c2VzYW1lLW9wZW4="}})
        document = taskset({"a": {}})
        document["spec"]["tasks"]["web"] = {"name": "web", "http": {
            "url": "http://127.0.0.1:%d/x" % port,
            "headers": [{"name": "X-Key", "valueFrom": {"secretKeyRef": {"name": "web", "key": "key"}}}]}}
        self.api.put(*TASKSETS, document)
        agent = self.agent()
        self.wait_phases(agent, {"a": "Succeeded", "web": "Succeeded"})
        self.assertEqual(seen, [("/x", "sesame-open")])
        self.assertNotIn("sesame", json.dumps(self.api.nodes()))
        self.assertEqual(agent.terminate(), 0, agent.text())
        self.assertNotIn("sesame", agent.text() + self.audit.read_text())

    def test_a_missing_role_is_named(self):
        self.sidecar()
        self.api.put(*TASKSETS, taskset({}))
        expected = {}
        for verb, resource in (("list", "workflowtasksets"), ("watch", "workflowtasksets"), ("patch", "workflowtasksets/status")):
            with self.subTest(verb=verb):
                self.api.denied = {(verb, resource)}
                self.api.change(*TASKSETS, "wf", {"spec": {"tasks": {verb: template(verb)}}})
                expected[verb] = "Succeeded"
                agent = self.agent(name=verb)
                sentence = 'resources [\\"%s\\"], verbs [\\"%s\\"]' % (resource, verb)
                self.wait_for(lambda: sentence in agent.text(), agent)
                # And it is not given up.
                self.api.denied = set()
                self.wait_phases(agent, expected)
                agent.kill()

    def test_a_rotated_token_is_read_again(self):
        self.sidecar()
        folder = self.dir / "sa"
        folder.mkdir()
        (folder / "token").write_text("first-token-of-it")
        config = json.loads(pathlib.Path(self.kubeconfig).read_text())
        config["users"][0]["user"] = {"tokenFile": str(folder / "token")}
        self.write("kubeconfig", config)
        self.api.tokens = {"first-token-of-it"}
        self.api.put(*TASKSETS, taskset({"a": {}}))
        agent = self.agent()
        self.wait_phases(agent, {"a": "Succeeded"})
        (folder / "token").write_text("second-token-of-it\n")
        self.api.tokens = {"second-token-of-it"}
        self.api.cut()
        self.api.change(*TASKSETS, "wf", {"spec": {"tasks": {"b": template("b")}}})
        self.wait_phases(agent, {"a": "Succeeded", "b": "Succeeded"})

    def test_in_a_pod_it_finds_the_api_server_and_its_account_where_they_are(self):
        self.sidecar()
        account = self.dir / "account"
        account.mkdir()
        (account / "token").write_text("projected-token-1\n")
        (account / "namespace").write_text("argo")
        (account / "ca.crt").write_bytes((self.dir / "ca.crt").read_bytes())
        self.api.tokens = {"projected-token-1"}
        self.api.put(*TASKSETS, taskset({"a": {}}))
        self.kubeconfig = None
        argoexec = self.dir / "argoexec"
        os.symlink(BULKHEAD, argoexec)
        place = "/var/run/secrets/kubernetes.io"
        script = 'mount -t tmpfs none /var/run && mkdir -p %s && ln -s "$0" %s/serviceaccount && exec "$@"' % (place, place)
        agent = self.agent(program=argoexec, prefix=("unshare", "-m", "sh", "-c", script, account),
                           env={"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self.api.port)})
        self.wait_phases(agent, {"a": "Succeeded"})
        # kubelet replaces it long before it ends.
        (account / "token").write_text("projected-token-2\n")
        self.api.tokens = {"projected-token-2"}
        self.api.cut()
        self.api.change(*TASKSETS, "wf", {"spec": {"tasks": {"b": template("b")}}})
        self.wait_phases(agent, {"a": "Succeeded", "b": "Succeeded"})
        self.assertEqual(agent.terminate(), 0, agent.text())
        self.assertNotIn("projected-token", agent.text() + self.audit.read_text())

    def test_a_server_of_another_authority_or_name_gets_nothing(self):
        self.sidecar()
        other = self.dir / "other"
        other.mkdir()
        from fake_apiserver import certificates
        certificates(other)
        for case, config in (("authority", {"ca": str(other / "ca.crt")}), ("name", {"server": "https://127.0.0.2:%d" % self.api.port})):
            with self.subTest(case=case):
                if case == "name":
                    self.api.stop()
                    self.api.host = "0.0.0.0"
                    self.api.start()
                before = len(self.api.requests)
                self.kubeconfig = self.api.kubeconfig(self.dir / "kubeconfig", **config)
                agent = self.agent(name=case)
                self.wait_for(lambda: "certificate" in agent.text(), agent)
                self.assertEqual(len(self.api.requests), before)
                agent.kill()

    def test_a_task_that_nothing_here_executes_fails_and_the_others_go_on(self):
        self.sidecar()
        document = taskset({"a": {}})
        document["spec"]["tasks"]["odd"] = {"name": "odd", "container": {"image": "x"}}
        self.api.put(*TASKSETS, document)
        agent = self.agent()
        self.wait_phases(agent, {"a": "Succeeded", "odd": "Failed"})
        self.assertIn("agent cannot execute", self.api.nodes()["odd"]["message"])

    def test_interim_results_are_posted_and_old_fields_do_not_stay(self):
        replies = iter([
            {"node": {"phase": "Running", "message": "half", "progress": "1/2",
                      "outputs": {"parameters": [{"name": "x", "value": "1"}]}}, "requeue": "1s"},
            {"node": {"phase": "Succeeded", "outputs": {"exitCode": "1"}}}])
        sidecar = self.sidecar(lambda call: next(replies))
        self.api.put(*TASKSETS, taskset({"a": {}}))
        agent = self.agent()
        self.wait_phases(agent, {"a": "Running"})
        self.assertEqual(self.api.nodes()["a"]["progress"], "1/2")
        # The second reply is refused: of the first nothing may show through.
        self.wait_phases(agent, {"a": "Error"})
        self.assertEqual(sorted(self.api.nodes()["a"]), ["message", "phase"])
        keys = [c["key"] for c in sidecar.calls]
        self.assertNotEqual(keys[0], keys[1])


class AgentSurvives(KubeCase):
    def test_no_task_is_lost_or_run_twice_over_disconnections(self):
        sidecar = self.sidecar()
        self.api.put(*TASKSETS, taskset({"n0": {}}))
        agent = self.agent()
        expected = {"n0": "Succeeded"}
        self.wait_phases(agent, expected)

        def half_closed():
            self.api.cut()

        def too_old():
            self.api.cut()
            self.api.compact()

        def restart():
            self.api.stop()
            self.api.start()

        def slow():
            self.api.faults = [lambda verb, resource: {"delay": 0.3}]

        def throttled():
            count = [0]

            def fault(verb, resource):
                count[0] += 1
                return {"status": 429, "retry_after": 1} if count[0] <= 2 else None
            self.api.faults = [fault]
            self.api.cut()

        def unavailable():
            count = [0]

            def fault(verb, resource):
                count[0] += 1
                return {"status": 503} if count[0] <= 3 else None
            self.api.faults = [fault]
            self.api.cut()

        def applied_and_dropped():
            count = [0]

            def fault(verb, resource):
                count[0] += verb == "patch"
                return {"after": "drop"} if verb == "patch" and count[0] == 1 else None
            self.api.faults = [fault]

        for number, disturb in enumerate((half_closed, too_old, restart, slow, throttled, unavailable, applied_and_dropped), 1):
            with self.subTest(disturb=disturb.__name__):
                disturb()
                node = "n%d" % number
                self.api.change(*TASKSETS, "wf", {"spec": {"tasks": {node: template(node)}}})
                expected[node] = "Succeeded"
                self.wait_phases(agent, expected)
                self.api.faults = []
        self.assertEqual(sorted(sidecar.nodes()), sorted(expected))
        self.assertEqual(agent.terminate(), 0, agent.text())
        self.assert_verifies()

    def test_a_bookmark_spares_a_list(self):
        self.sidecar()
        self.api.put(*TASKSETS, taskset({"a": {}}))
        agent = self.agent("--metrics-listen", "127.0.0.1:0")
        self.wait_phases(agent, {"a": "Succeeded"})
        # What the watch is not about moves the version on, past what is kept of the past.
        self.api.put("", "configmaps", {"metadata": {"name": "other"}})
        self.wait_for(lambda: self.api.bookmarked >= self.api.version, agent)
        watches = self.api.count("watch")
        self.api.compact()
        self.api.cut()
        self.wait_for(lambda: self.api.count("watch") > watches, agent)
        self.api.change(*TASKSETS, "wf", {"spec": {"tasks": {"b": template("b")}}})
        self.wait_phases(agent, {"a": "Succeeded", "b": "Succeeded"})
        self.assertEqual(agent.metric("bulkhead_task_set_lists_total"), 1)

    def test_retry_after_is_honoured(self):
        self.sidecar()
        times = []

        def fault(verb, resource):
            if verb != "patch":
                return None
            times.append(time.monotonic())
            return {"status": 429, "retry_after": 2} if len(times) == 1 else None
        self.api.faults = [fault]
        self.api.put(*TASKSETS, taskset({"a": {}}))
        agent = self.agent()
        self.wait_phases(agent, {"a": "Succeeded"})
        self.assertGreaterEqual(times[1] - times[0], 1.9)

    def test_a_poisoned_result_gets_an_error_and_its_batch_is_delivered(self):
        go = threading.Event()
        self.sidecar(lambda call: go.wait(20) and {"node": {"phase": "Succeeded", "message": call["node"]}})
        self.api.reject = lambda obj: (422, "n5 is not wanted here") if any(
            r.get("message") == "n5" for r in obj.get("status", {}).get("nodes", {}).values()) else None
        self.api.put(*TASKSETS, taskset({"n%d" % i: {} for i in range(12)}))
        agent = self.agent()
        self.wait_for(lambda: "the agent runs" in agent.text(), agent)
        go.set()
        self.wait_phases(agent, {"n%d" % i: "Error" if i == 5 else "Succeeded" for i in range(12)})
        self.assertIn("n5 is not wanted here", self.api.nodes()["n5"]["message"])
        self.assertEqual(agent.terminate(), 0, agent.text())
        self.assertEqual([r["node"] for r in self.records("refusal") if r["stoppedBy"] == "api-server"], ["n5"])

    def test_large_results_are_split_and_never_over_the_limit(self):
        go = threading.Event()
        self.sidecar(lambda call: go.wait(20) and {"node": {"phase": "Succeeded", "outputs": {"result": call["node"][-1] * 250_000}}})
        controller = Controller(self.api)
        self.addCleanup(controller.stop)
        self.api.put(*TASKSETS, taskset({"n%d" % i: {} for i in range(8)}))
        agent = self.agent()
        self.wait_for(lambda: "the agent runs" in agent.text(), agent)
        go.set()
        self.wait_for(lambda: len(controller.results) == 8, agent, 60)
        self.assertEqual({n: len(r) for n, r in controller.results.items()}, {"n%d" % i: 1 for i in range(8)})
        self.assertEqual({n: r[0]["outputs"]["result"][:2] for n, r in controller.results.items()},
                         {"n%d" % i: str(i) * 2 for i in range(8)})

    def test_sigterm_drains_and_leaves_the_rest_for_the_next(self):
        def answer(call):
            time.sleep(1.5 if call["node"] == "quick" else 60)
            return {"node": {"phase": "Succeeded", "message": "ok"}}
        sidecar = self.sidecar(answer)
        self.api.put(*TASKSETS, taskset({"quick": {}, "long": {}}))
        agent = self.agent("--drain", "4s")
        self.wait_for(lambda: len(sidecar.calls) == 2, agent)
        begun = time.monotonic()
        self.assertEqual(agent.terminate(), 0, agent.text())
        self.assertLess(time.monotonic() - begun, 9)
        self.assertEqual({n: r["phase"] for n, r in self.api.nodes().items()}, {"quick": "Succeeded"})
        sidecar.answer = lambda call: {"node": {"phase": "Succeeded", "message": "second"}}
        agent = self.agent()
        self.wait_phases(agent, {"quick": "Succeeded", "long": "Succeeded"})
        self.assertEqual(sorted(sidecar.nodes()), ["long", "long", "quick"])
        first, second = [c for c in sidecar.calls if c["node"] == "long"]
        self.assertEqual(first["key"], second["key"])
        self.assertEqual((first["attempt"], second["attempt"]), (1, 2))

    def test_results_that_were_had_are_delivered_after_a_kill_without_calling_again(self):
        sidecar = self.sidecar()
        self.api.faults = [lambda verb, resource: {"status": 503} if verb == "patch" else None]
        self.api.put(*TASKSETS, taskset({"n%d" % i: {} for i in range(5)}))
        agent = self.agent()
        self.wait_for(lambda: len([c for c in sidecar.calls if c["answered"]]) == 5 and self.api.count("patch") > 1, agent)
        agent.kill()
        self.api.faults = []
        agent = self.agent()
        self.wait_phases(agent, {"n%d" % i: "Succeeded" for i in range(5)})
        self.assertEqual(agent.terminate(), 0, agent.text())
        self.assertEqual(len(sidecar.calls), 5)
        self.assertEqual(len(self.records("task.recovered")), 5)
        self.assert_verifies()

    def test_a_call_in_flight_is_not_repeated_where_it_must_not_be(self):
        sidecar = self.sidecar(lambda call: time.sleep(60))
        self.api.put(*TASKSETS, taskset({"a": {}}))
        agent = self.agent("--in-flight", "fail")
        self.wait_for(lambda: len(sidecar.calls) == 1, agent)
        agent.kill()
        agent = self.agent("--in-flight", "fail")
        self.wait_phases(agent, {"a": "Error"})
        self.assertIn("during the call", self.api.nodes()["a"]["message"])
        self.assertEqual(len(sidecar.calls), 1)

    def test_a_call_in_flight_is_repeated_with_its_key_and_a_raised_attempt(self):
        gate = threading.Event()
        sidecar = self.sidecar(lambda call: gate.wait(60) and {"node": {"phase": "Succeeded", "message": "ok"}})
        self.api.put(*TASKSETS, taskset({"a": {}}))
        for life in (1, 2):
            agent = self.agent("--in-flight", "repeat")
            self.wait_for(lambda: len(sidecar.calls) == life, agent)
            agent.kill()
        gate.set()
        agent = self.agent("--in-flight", "repeat")
        self.wait_phases(agent, {"a": "Succeeded"})
        self.assertEqual([(c["key"], c["attempt"]) for c in sidecar.calls], [(self.key("a"), n) for n in (1, 2, 3)])
        self.assertEqual(agent.terminate(), 0, agent.text())
        self.assertEqual([r["applied"] for r in self.records("call")], [True])

    def key(self, node, generation=0, step=0):
        """The idempotency key of a task of `wf`: the same in whichever process."""
        return hashlib.sha256(("%s/%s\n%d\n%d" % (UID, node, generation, step)).encode()).hexdigest()[:32]

    def test_a_task_that_is_tried_again_keeps_its_keys_over_a_kill(self):
        gate = threading.Event()
        replies = iter([{"node": {"phase": "Failed", "message": "first"}}, None,
                        {"node": {"phase": "Running", "message": "half"}, "requeue": "2s"}, {"node": {"phase": "Succeeded"}}])
        sidecar = self.sidecar(lambda call: next(replies) or gate.wait(60) or {})
        controller = Controller(self.api)
        self.addCleanup(controller.stop)
        self.api.put(*TASKSETS, taskset({"a": {}}))
        agent = self.agent()
        self.wait_for(lambda: "a" in controller.results and not self.api.get(*TASKSETS, "wf")["spec"]["tasks"], agent)
        self.wait_for(lambda: '"op":"retire"' in (self.dir / "journal" / "journal").read_text(), agent)
        self.api.change(*TASKSETS, "wf", {"spec": {"tasks": {"a": template("a")}}})
        self.wait_for(lambda: len(sidecar.calls) == 2, agent)
        agent.kill()  # during the second's first call
        agent = self.agent()
        self.wait_for(lambda: self.api.nodes().get("a", {}).get("phase") == "Running", agent)
        agent.kill()  # while it waits for its second
        agent = self.agent()
        self.wait_for(lambda: len(controller.results["a"]) == 2, agent)
        gate.set()
        self.assertEqual([(c["key"], c["attempt"]) for c in sidecar.calls],
                         [(self.key("a"), 1), (self.key("a", 1), 1), (self.key("a", 1), 2), (self.key("a", 1, 1), 1)])
        self.assertEqual([r["phase"] for r in controller.results["a"]], ["Failed", "Succeeded"])
        self.assertEqual(agent.terminate(), 0, agent.text())
        self.assert_verifies()

    def test_a_requeue_goes_on_after_a_kill_from_what_was_reported(self):
        replies = iter([{"node": {"phase": "Running", "message": "kept", "progress": "1/2"}, "requeue": "2s"},
                        {"node": {"phase": "Succeeded"}}])
        sidecar = self.sidecar(lambda call: next(replies))
        self.api.put(*TASKSETS, taskset({"a": {}}))
        agent = self.agent()
        self.wait_phases(agent, {"a": "Running"})
        agent.kill()
        agent = self.agent()
        self.wait_phases(agent, {"a": "Succeeded"})
        self.assertEqual(self.api.nodes()["a"]["message"], "kept")
        self.assertEqual(len(sidecar.calls), 2)

    def test_a_task_that_is_tried_again_by_the_workflow_runs_again(self):
        sidecar = self.sidecar()
        controller = Controller(self.api)
        self.addCleanup(controller.stop)
        self.api.put(*TASKSETS, taskset({"a": {}}))
        agent = self.agent()
        self.wait_for(lambda: len(controller.results.get("a", [])) == 1 and not self.api.get(*TASKSETS, "wf")["spec"]["tasks"], agent)
        time.sleep(0.3)
        self.api.change(*TASKSETS, "wf", {"spec": {"tasks": {"a": template("a")}}})
        self.wait_for(lambda: len(controller.results["a"]) == 2, agent)
        keys = {c["key"] for c in sidecar.calls}
        self.assertEqual((len(sidecar.calls), len(keys)), (2, 2))

    def test_a_deleted_task_set_ends_the_agent(self):
        self.sidecar(lambda call: time.sleep(60))
        self.api.put(*TASKSETS, taskset({"a": {}}))
        agent = self.agent()
        self.wait_for(lambda: "the agent runs" in agent.text() and self.api.count("watch") >= 0 and self.api.get(*TASKSETS, "wf"), agent)
        time.sleep(0.5)
        self.api.delete(*TASKSETS, "wf")
        begun = time.monotonic()
        self.assertEqual(agent.wait(), 0, agent.text())
        self.assertLess(time.monotonic() - begun, 5)

    def test_a_task_set_of_another_workflow_of_the_name_is_left_alone(self):
        sidecar = self.sidecar()
        self.api.put(*TASKSETS, taskset({"a": {}}, uid="another"))
        agent = self.agent()
        self.wait_for(lambda: "left alone" in agent.text(), agent)
        self.assertEqual(sidecar.calls, [])


class ExternalAgent(KubeCase):
    def test_it_serves_its_controller_instances_task_sets_as_they_come_and_go(self):
        sidecar = self.sidecar()
        instance = "workflows.argoproj.io/controller-instanceid"
        self.api.put(*TASKSETS, taskset({"a": {}}, "one", "u1", {instance: "blue"}))
        self.api.put(*TASKSETS, taskset({"b": {}}, "two", "u2", {instance: "red"}))
        self.api.put(*TASKSETS, taskset({"c": {}}, "three", "u3"))
        agent = self.agent("--all", "--instance-id", "blue", workflow="")
        self.wait_phases(agent, {"a": "Succeeded"}, "one")
        self.api.put(*TASKSETS, taskset({"d": {}}, "four", "u4", {instance: "blue"}))
        self.wait_phases(agent, {"d": "Succeeded"}, "four")
        self.api.change(*TASKSETS, "one", {"metadata": {"labels": {"workflows.argoproj.io/completed": "true"}}})
        self.api.delete(*TASKSETS, "four")
        self.api.put(*TASKSETS, taskset({"e": {}}, "five", "u5", {instance: "blue"}))
        self.wait_phases(agent, {"e": "Succeeded"}, "five")
        self.assertEqual(sorted(sidecar.nodes()), ["a", "d", "e"])
        self.assertEqual(agent.terminate(), 0, agent.text())

    def test_a_standby_takes_over_within_15_s_and_nothing_runs_twice_at_once(self):
        running, worst = [0], [0]
        lock = threading.Lock()

        def answer(call):
            with lock:
                running[0] += 1
                worst[0] = max(worst[0], running[0])
            time.sleep(0.2)
            with lock:
                running[0] -= 1
            return {"node": {"phase": "Succeeded", "message": "ok"}}
        sidecar = self.sidecar(answer)
        self.api.put(*TASKSETS, taskset({"a": {}}, "one", "u1"))
        first = self.agent("--all", "--lease", "bulkhead", workflow="", name="-1")
        self.wait_phases(first, {"a": "Succeeded"}, "one")
        second = self.agent("--all", "--lease", "bulkhead", workflow="", name="-2")
        self.wait_for(lambda: "standing by" in second.text(), second)
        begun = time.monotonic()
        first.kill()
        self.api.change(*TASKSETS, "one", {"spec": {"tasks": {"b": template("b")}}})
        self.wait_phases(second, {"a": "Succeeded", "b": "Succeeded"}, "one")
        took = time.monotonic() - begun
        self.assertLess(took, 15)
        self.assertEqual(sorted(sidecar.nodes()), ["a", "b"])
        # In order, it is given up, and the next need not wait.
        third = self.agent("--all", "--lease", "bulkhead", workflow="", name="-3")
        self.wait_for(lambda: "standing by" in third.text(), third)
        self.assertEqual(second.terminate(), 0, second.text())
        begun = time.monotonic()
        self.wait_for(lambda: "lease is held" in third.text(), third)
        self.assertLess(time.monotonic() - begun, 5)
        # A standby ends at once.
        fourth = self.agent("--all", "--lease", "bulkhead", workflow="", name="-4")
        self.wait_for(lambda: "standing by" in fourth.text(), fourth)
        self.assertEqual(fourth.terminate(), 0, fourth.text())

    def test_an_agent_that_loses_its_lease_ends_what_it_runs(self):
        sidecar = self.sidecar(lambda call: time.sleep(60))
        self.api.put(*TASKSETS, taskset({"a": {}}, "one", "u1"))
        agent = self.agent("--all", "--lease", "bulkhead", workflow="")
        self.wait_for(lambda: len(sidecar.calls) == 1, agent)
        lease = self.api.get(*LEASES, "bulkhead")
        lease["spec"]["holderIdentity"] = "someone-else"
        self.api.put(*LEASES, lease)
        self.assertEqual(agent.wait(10), 1, agent.text())
        self.assertEqual(self.api.nodes("one"), {})


class AgentRights(KubeCase):
    def test_it_asks_for_each_right_of_its_role_and_for_no_other(self):
        cases = (
            (("--all", "--lease", "bulkhead-agent"), "", rights.ROLES["external-agent"]),
            ((), "wf", rights.ROLES["agent-container"] - rights.OF_ARGO["agent-container"]),
        )
        self.sidecar()
        self.api.put("", "secrets", {"metadata": {"name": "bulkhead-http-credentials"}, "data": {"key": "c2VzYW1lLW9wZW4="}})
        for args, workflow, role in cases:
            with self.subTest(args=args):
                document = taskset({"a": {}})
                document["spec"]["tasks"]["web"] = {"name": "web", "http": {
                    "url": "http://127.0.0.1:1/",
                    "headers": [{"name": "X-Key", "valueFrom": {"secretKeyRef": {"name": "bulkhead-http-credentials", "key": "key"}}}]}}
                self.api.put(*TASKSETS, document)
                self.write("policy.yaml", side_policy() + "---\n" + json.dumps({
                    "apiVersion": "bulkhead.dev/v1alpha1", "kind": "HttpEgressPolicy",
                    "metadata": {"name": "web", "owner": "t@example.com", "reviewBy": "2099-01-01"},
                    "spec": {"match": {"namespaces": ["*"], "templates": ["*"]},
                             "allow": [{"id": "it", "schemes": ["http"], "hosts": ["127.0.0.1"], "ports": [1], "methods": ["GET"],
                                        "addresses": ["loopback"]}]}}) + "\n")
                self.api.asked.clear()
                self.api.requests.clear()
                agent = self.agent(*args, workflow=workflow, name="-%d" % len(args))
                self.wait_for(lambda: {"a", "web"} == set(self.api.nodes()), agent)
                if "--lease" in args:
                    self.wait_for(lambda: self.api.count("update", "leases") > 0, agent)
                # A watch is written down once it is over.
                self.api.cut()
                self.wait_for(lambda: self.api.count("watch") > 0, agent)
                self.assertEqual(agent.terminate(), 0, agent.text())
                self.assertEqual({right[:3] for right in self.api.asked}, role)
                names = {resource: name for _, resource, verb, name in self.api.asked if verb in ("get", "update")}
                self.assertLessEqual(names.items(), {"secrets": "bulkhead-http-credentials", "leases": "bulkhead-agent"}.items())
                self.api.delete(*TASKSETS, "wf")


class AgentInit(KubeCase):
    def test_init_makes_a_token_for_each_container_with_argos_modes(self):
        argoexec = self.dir / "argoexec"
        os.symlink(BULKHEAD, argoexec)
        env = {"ARGO_PLUGIN_NAMES": '["one-executor-plugin","two"]'}
        for _ in range(2):  # a second run replaces them
            run = subprocess.run([argoexec, "agent", "init", "--loglevel", "info", "--log-format", "text", "--gloglevel", "0",
                                  "--tokens", self.tokens], env=env, capture_output=True, text=True)
            self.assertEqual(run.returncode, 0, run.stderr)
        tokens = set()
        for name in ("one-executor-plugin", "two"):
            folder = self.tokens / name
            self.assertEqual(stat.S_IMODE(folder.stat().st_mode), 0o770)
            self.assertEqual(stat.S_IMODE((folder / "token").stat().st_mode), 0o440)
            self.assertRegex((folder / "token").read_text(), "^[A-Za-z0-9]{32}$")
            self.assertEqual(os.listdir(folder), ["token"])
            tokens.add((folder / "token").read_text())
        self.assertEqual(len(tokens), 2)
        for names in ('["../x"]', '["a/b"]', '[""]', '{"a":1}', "x"):
            run = subprocess.run([argoexec, "agent", "init", "--tokens", self.tokens], env={"ARGO_PLUGIN_NAMES": names}, capture_output=True)
            self.assertEqual(run.returncode, 2, names)

    def test_other_verbs_of_argoexec_go_to_the_real_one_or_say_where_it_should_be(self):
        folder = self.dir / "bin"
        folder.mkdir()
        real = folder / "argoexec"
        real.write_bytes(pathlib.Path(BULKHEAD).read_bytes())
        real.chmod(0o755)
        run = subprocess.run([real, "wait", "--x"], capture_output=True, text=True)
        self.assertEqual(run.returncode, 2)
        self.assertIn("argo/argoexec is not there", run.stderr)
        (folder / "argo").mkdir()
        # Argo's finds itself in PATH to copy itself into pods.
        (folder / "argo" / "argoexec").write_text('#!/bin/sh\necho "$(command -v argoexec)|$*"\nexit 7\n')
        (folder / "argo" / "argoexec").chmod(0o755)
        run = subprocess.run([real, "wait", "--loglevel", "info"], capture_output=True, text=True)
        self.assertEqual((run.returncode, run.stdout), (7, "%s|wait --loglevel info\n" % (folder / "argo" / "argoexec")))

    def test_what_is_wrong_with_the_settings_is_said(self):
        cases = (
            ([], {"ARGO_WORKFLOW_NAME": "wf"}, "give --kubeconfig"),
            (["--kubeconfig", self.kubeconfig], {}, "which task sets?"),
            (["--kubeconfig", self.kubeconfig, "--all"], {"ARGO_WORKFLOW_NAME": "wf"}, "exclude each other"),
            (["--kubeconfig", self.write("k1", {"current-context": "x"})], {"ARGO_WORKFLOW_NAME": "wf"}, 'contexts has no "x"'),
            (["--kubeconfig", self.write("k2", pathlib.Path(self.kubeconfig).read_text().replace("https:", "http:"))],
             {"ARGO_WORKFLOW_NAME": "wf"}, "must begin with https://"),
            (["--kubeconfig", self.write("k3", pathlib.Path(self.kubeconfig).read_text().replace(
                '"certificate-authority"', '"insecure-skip-tls-verify": true, "certificate-authority"'))],
             {"ARGO_WORKFLOW_NAME": "wf"}, "insecure-skip-tls-verify is refused"),
            (["--kubeconfig", self.kubeconfig],
             {"ARGO_WORKFLOW_NAME": "wf", "ARGO_PLUGIN_NAMES": '["a"]', "ARGO_PLUGIN_ADDRESSES": '["http://10.0.0.1:80"]'},
             "mutual TLS only"),
        )
        for args, env, sentence in cases:
            with self.subTest(sentence=sentence):
                run = self.bulkhead("agent", "main", "--journal", self.dir / "j", "--audit", self.dir / "a", *args, env=env)
                self.assertEqual(run.code, 2, str(run))
                self.assertIn(sentence, run.err)
