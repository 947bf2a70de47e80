"""`bulkhead agent main` as those see it who operate it: probes and figures, and policies that change under it."""

import http.server
import json
import os
import signal
import threading
import time

from kube_case import TASKSETS, KubeCase, side_policy, taskset, template

LISTEN = ("--metrics-listen", "127.0.0.1:0")


class AgentOperation(KubeCase):
    def replace(self, name, text):
        """At once, as Kubernetes does it."""
        self.write(name + ".new", text)
        os.replace(self.dir / (name + ".new"), self.dir / name)

    def add(self, node):
        self.api.change(*TASKSETS, "wf", {"spec": {"tasks": {node: template(node)}}})

    def test_probes_and_figures_tell_what_the_agent_does(self):
        gate = threading.Event()
        self.sidecar(lambda call: {
            "a": {"node": {"phase": "Succeeded", "message": "ok"}},
            "b": {"node": {"phase": "Succeeded", "outputs": {"exitCode": "0"}}},
        }.get(call["node"]) or (gate.wait(30) and {"node": {"phase": "Succeeded"}}))
        self.api.bookmark_every = 1000
        self.api.denied = {("list", "workflowtasksets")}
        self.api.put(*TASKSETS, taskset({"a": {}, "b": {}, "c": {}}))
        agent = self.agent(*LISTEN)
        # Nothing of the cluster is known yet.
        status, detail = agent.ready()
        self.assertEqual((status, detail["ready"]), (503, False))
        self.assertIn("not listed yet", detail["reason"])
        self.assertEqual(agent.admin("/healthz")[0], 200)
        self.api.denied = set()
        self.wait_phases(agent, {"a": "Succeeded", "b": "Error"})
        status, detail = agent.ready()
        self.assertEqual((status, detail["ready"], detail["policy"]["policies"]), (200, True, ["side"]))
        self.assertEqual([(p["name"], p["tier"], p["ready"]) for p in detail["plugins"]], [("side", "sidecar", True)])
        self.assertNotIn("lease", detail)
        for name, labels, value in (
                ("bulkhead_tasks_seen_total", "", 3),
                ("bulkhead_results_total", 'phase="Succeeded"', 1),
                ("bulkhead_results_total", 'phase="Error"', 1),
                ("bulkhead_calls_total", 'plugin="side",outcome="reply"', 2),
                ("bulkhead_mutations_refused_total", 'plugin="side"', 1),
                ("bulkhead_tasks_stopped_total", 'plugin="side",layer="policy"', 1),
                ("bulkhead_task_set_lists_total", "", 1),
                ("bulkhead_journal_tasks", "", 3),
                ("bulkhead_policy_reload_error", "", 0)):
            self.assertEqual(agent.metric(name, labels), value, name + "\n" + agent.admin("/metrics")[1])
        self.assertGreater(agent.metric("bulkhead_api_failures_total", 'request="list"'), 0)
        self.assertEqual(agent.metric("bulkhead_journal_bytes"), (self.dir / "journal" / "journal").stat().st_size)
        self.wait_for(lambda: agent.metric("bulkhead_results_delivered_total") == 2, agent)
        self.assertEqual(agent.metric("bulkhead_results_pending"), 0)
        # What cannot be delivered is told as pending.
        self.api.faults = [lambda verb, resource: {"status": 503} if verb == "patch" else None]
        gate.set()
        self.wait_for(lambda: agent.metric("bulkhead_patches_total", 'ok="false"') > 0, agent)
        self.assertEqual(agent.metric("bulkhead_results_pending"), 1)
        self.assertEqual(agent.ready()[1]["resultsPending"], 1)
        self.api.faults = []
        self.wait_phases(agent, {"a": "Succeeded", "b": "Error", "c": "Succeeded"})
        # A watch that is too old is a list more: what it is not about moved the version on, and no bookmark told.
        self.api.put("", "configmaps", {"metadata": {"name": "other"}})
        self.api.compact()
        self.api.cut()
        self.wait_for(lambda: agent.metric("bulkhead_task_set_lists_total") == 2, agent)
        self.assertIn("# TYPE bulkhead_results_pending gauge", agent.admin("/metrics")[1])
        self.assertEqual((agent.admin("/metrics", "POST")[0], agent.admin("/other")[0]), (405, 404))
        self.assertEqual(agent.terminate(), 0, agent.text())

    def test_a_standby_is_ready_and_tells_that_it_stands_by(self):
        self.sidecar()
        first = self.agent("--all", "--lease", "bulkhead", *LISTEN, workflow="", name="-1")
        self.wait_for(lambda: first.ready()[0] == 200, first)
        self.assertEqual((first.ready()[1]["lease"], first.metric("bulkhead_lease_held")), ("held", 1))
        second = self.agent("--all", "--lease", "bulkhead", *LISTEN, workflow="", name="-2")
        self.wait_for(lambda: second.ready()[0] == 200, second)
        self.assertEqual((second.ready()[1]["lease"], second.metric("bulkhead_lease_held")), ("standing by", 0))
        self.assertEqual(first.terminate(), 0, first.text())
        self.wait_for(lambda: second.ready()[1]["lease"] == "held", second)

    def test_while_it_drains_it_is_not_ready(self):
        sidecar = self.sidecar(lambda call: time.sleep(2) or {"node": {"phase": "Succeeded", "message": "ok"}})
        self.api.put(*TASKSETS, taskset({"a": {}}))
        agent = self.agent(*LISTEN)
        self.wait_for(lambda: len(sidecar.calls) == 1, agent)
        agent.process.send_signal(signal.SIGTERM)
        self.wait_for(lambda: agent.ready()[0] == 503, agent)
        self.assertEqual(agent.ready()[1]["reason"], "draining")
        self.assertEqual(agent.wait(), 0, agent.text())
        self.assertEqual(self.api.nodes()["a"]["phase"], "Succeeded")

    def test_policies_are_reloaded_and_a_broken_file_leaves_the_old_in_force_loudly(self):
        self.sidecar()
        self.api.put(*TASKSETS, taskset({"a": {}}))
        agent = self.agent(*LISTEN)
        self.wait_phases(agent, {"a": "Succeeded"})
        digest = agent.ready()[1]["policy"]["digest"]
        self.replace("policy.yaml", side_policy().replace('"allow"', '"alow"'))
        self.wait_for(lambda: agent.metric("bulkhead_policy_reload_error") == 1, agent)
        status, detail = agent.ready()
        self.assertEqual((status, detail["policy"]["digest"]), (200, digest))
        self.assertIn('did you mean "allow"', detail["policy"]["reloadError"])
        self.assertEqual(agent.metric("bulkhead_reloads_total", 'what="policy",result="kept"'), 1)
        self.add("b")
        self.wait_phases(agent, {n: "Succeeded" for n in "ab"})
        # The next one is right, and in force for the next task: it allows no messages.
        documents = [json.loads(line) for line in side_policy().split("---\n")]
        for document in documents:
            document["spec"]["allow"] = [rule for rule in document["spec"]["allow"] if rule["id"] != "message"]
        self.replace("policy.yaml", "---\n".join(json.dumps(d) + "\n" for d in documents))
        self.wait_for(lambda: agent.metric("bulkhead_policy_reload_error") == 0, agent)
        self.assertNotEqual(agent.ready()[1]["policy"]["digest"], digest)
        self.add("c")
        self.wait_phases(agent, {"a": "Succeeded", "b": "Succeeded", "c": "Error"})
        self.assertIn("refused by policy", self.api.nodes()["c"]["message"])
        # At once, by a signal; a file that has not changed is no reload.
        self.replace("policy.yaml", side_policy())
        agent.process.send_signal(signal.SIGHUP)
        self.wait_for(lambda: agent.ready()[1]["policy"]["digest"] == digest, agent)
        agent.process.send_signal(signal.SIGHUP)
        self.add("d")
        self.wait_phases(agent, {"a": "Succeeded", "b": "Succeeded", "c": "Error", "d": "Succeeded"})
        self.assertEqual(agent.terminate(), 0, agent.text())
        reloads = self.records("policy.reload")
        self.assertEqual([r["ok"] for r in reloads], [False, True, True])
        self.assertEqual(reloads[0]["policyDigest"], digest)
        self.assertIn("alow", reloads[0]["reason"])
        self.assertIn("what was in force stays", agent.text())
        self.assert_verifies()

    def test_egress_policies_are_reloaded_with_the_others_or_not_at_all(self):
        class Server(http.server.BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                self.send_response(200)
                self.end_headers()
        server = http.server.HTTPServer(("127.0.0.1", 0), Server)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        port = server.server_address[1]
        egress = json.dumps({
            "apiVersion": "bulkhead.dev/v1alpha1", "kind": "HttpEgressPolicy",
            "metadata": {"name": "web", "owner": "t@example.com", "reviewBy": "2099-01-01"},
            "spec": {"match": {"namespaces": ["*"], "templates": ["*"]},
                     "allow": [{"id": "it", "schemes": ["http"], "hosts": ["127.0.0.1"], "ports": [port], "methods": ["GET"],
                                "addresses": ["loopback"]}]}}) + "\n"
        self.sidecar()
        expected = {}

        def get(node, phase):
            expected[node] = phase
            task = {"name": node, "http": {"url": "http://127.0.0.1:%d/" % port}}
            self.api.change(*TASKSETS, "wf", {"spec": {"tasks": {node: task}}})
            self.wait_phases(agent, expected)
        reloads = lambda result: agent.metric("bulkhead_reloads_total", 'what="policy",result="%s"' % result)
        self.api.put(*TASKSETS, taskset({}))
        agent = self.agent(*LISTEN)
        get("before", "Error")
        self.replace("policy.yaml", side_policy() + "---\n" + egress)
        self.wait_for(lambda: reloads("ok") == 1, agent)
        get("allowed", "Succeeded")
        # Of a file with an error nothing comes into force, of neither kind.
        without_messages = side_policy().replace('"message"', '"note"', 1)
        self.replace("policy.yaml", without_messages + "---\n" + egress.replace('"hosts"', '"host"'))
        self.wait_for(lambda: reloads("kept") == 1, agent)
        self.assertIn("host", agent.ready()[1]["policy"]["reloadError"])
        get("still-allowed", "Succeeded")
        self.replace("policy.yaml", side_policy())
        self.wait_for(lambda: reloads("ok") == 2, agent)
        get("after", "Error")
        self.assertEqual(agent.terminate(), 0, agent.text())
        self.assertEqual([r["ok"] for r in self.records("policy.reload")], [True, False, True])

    def test_a_sidecar_may_be_called_as_long_as_the_policies_in_force_allow_it(self):
        sidecar = self.sidecar()
        self.write("policy.yaml", side_policy(None))
        self.api.put(*TASKSETS, taskset({"a": {}}))
        agent = self.agent(*LISTEN)
        self.wait_phases(agent, {"a": "Failed"})
        self.replace("policy.yaml", side_policy())
        self.wait_for(lambda: agent.metric("bulkhead_reloads_total", 'what="policy",result="ok"') == 1, agent)
        self.add("b")
        self.wait_phases(agent, {"a": "Failed", "b": "Succeeded"})
        self.replace("policy.yaml", side_policy("mtls"))
        self.wait_for(lambda: agent.metric("bulkhead_reloads_total", 'what="policy",result="ok"') == 2, agent)
        self.add("c")
        self.wait_phases(agent, {"a": "Failed", "b": "Succeeded", "c": "Failed"})
        self.assertIn("transport: plaintext-loopback", self.api.nodes()["c"]["message"])
        self.assertEqual(sidecar.nodes(), ["b"])
        self.assertEqual([r["plugin"] for r in self.records("tier.refused")], ["side"])
