"""What who operates the gateway sees: readiness, metrics, reloads, the end; and the manifest that installs it."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import unittest

from bulkhead_case import BULKHEAD, BulkheadCase, OK_ANSWER, ROOT, SERVER, plugin, policy
from gateway_case import Gateway, TOKEN, execute_request

OTHER_TOKEN = "An0therTokenOfTheGateway-9876543"


class Operation(BulkheadCase):
    def replace(self, path, text):
        """At once, as Kubernetes does: nobody sees half a file."""
        new = path.with_suffix(".new")
        new.write_text(text)
        os.replace(new, path)

    def test_health_readiness_and_metrics_need_no_token_and_tell_no_secret(self):
        broken = plugin("broken", None, 14356, source="import os, sys; sys.exit('key ' + os.environ['API_KEY'])",
                        env=[{"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": "api", "key": "key"}}}])
        self.write("plugins/secret.json", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "api"}, "stringData": {"key": "s3cr3t-value-1234"}})
        gateway = Gateway(self, [plugin("good", OK_ANSWER, 14355), broken])
        self.assertEqual(gateway.admin("/healthz"), (200, "ok"))
        status, text = gateway.admin("/readyz")
        detail = json.loads(text)
        self.assertEqual((status, detail["ready"]), (200, True))
        plugins = {p["name"]: p for p in detail["plugins"]}
        self.assertEqual(plugins["good"]["ready"], True)
        self.assertEqual(plugins["broken"]["ready"], False)
        self.assertIn("exit", plugins["broken"]["reason"])
        self.assertEqual(sorted(detail["policy"]["policies"]), ["broken", "good"])
        gateway.execute("good", {})
        self.assertEqual(gateway.metric("bulkhead_gateway_calls_total", 'method="template.execute",status="200"'), 1)
        self.assertEqual(gateway.metric("bulkhead_calls_total", 'plugin="good",outcome="reply"'), 1)
        metrics = gateway.admin("/metrics")[1]
        self.assertIn("# TYPE bulkhead_policy_reload_error gauge", metrics)
        self.assertNotIn("s3cr3t-value-1234", text + metrics)
        self.assertEqual(gateway.admin("/metrics", "POST")[0], 405)
        self.assertEqual(gateway.admin("/api/v1/template.execute")[0], 404)

    def test_until_plugins_have_started_every_call_is_to_come_again(self):
        # In tier restricted its ports are the host's: whoever connects to the second one lets it go on.
        source = """
import socket
socket.create_server(('', 14357)).accept()
""" + SERVER % {"answer": OK_ANSWER, "name": "slow", "port": 14355}
        ports = [{"containerPort": 14355}, {"containerPort": 14357}]
        gateway = Gateway(self, [plugin("slow", None, 14355, source=source, ports=ports), plugin("good", OK_ANSWER, 14356)],
                          "--tier", "restricted", wait=False)
        gateway.until("/healthz")
        gate = []

        def connect():
            try:
                gate.append(socket.create_connection(("127.0.0.1", 14357), timeout=5))
            except ConnectionRefusedError:
                return False
            return True

        for name in ("slow", "good"):
            status, text = gateway.execute(name, {})
            self.assertEqual(status, 503, text)
            self.assertIn("still being started", text)
        status, text = gateway.admin("/readyz")
        self.assertEqual((status, json.loads(text)["reason"]), (503, "plugins are being started"))
        self.assertEqual(gateway.admin("/healthz")[0], 200)
        gateway.wait_for(connect, "the slow plugin waits")
        gate[0].close()
        gateway.until("ready")
        self.assertEqual(gateway.admin("/readyz")[0], 200)
        for name in ("slow", "good"):
            self.assertEqual(gateway.execute(name, {})["node"]["phase"], "Succeeded")
        self.assertEqual(len(self.records("call")), 2, "nobody was asked before")

    def test_policies_are_reloaded_and_a_broken_file_leaves_the_old_in_force_loudly(self):
        gateway = Gateway(self, [plugin("good", OK_ANSWER, 14355)])
        digest = json.loads(gateway.admin("/readyz")[1])["policy"]["digest"]
        good = gateway.policy_file.read_text()
        self.replace(gateway.policy_file, good.replace('"allow"', '"alow"'))
        gateway.wait_for(lambda: gateway.metric("bulkhead_policy_reload_error") == 1, "the broken file is told")
        status, text = gateway.admin("/readyz")
        detail = json.loads(text)
        self.assertEqual((status, detail["policy"]["digest"]), (200, digest))
        self.assertIn('did you mean \\"allow\\"', text)
        self.assertEqual(gateway.execute("good", {})["node"]["phase"], "Succeeded")

        self.replace(gateway.policy_file, policy("somebody-else"))
        gateway.wait_for(lambda: gateway.metric("bulkhead_policy_reload_error") == 0, "the next file is taken")
        gateway.wait_for(lambda: gateway.execute("good", {})["node"]["phase"] == "Error", "and is in force")
        reloads = self.records("policy.reload")
        self.assertEqual([r["ok"] for r in reloads], [False, True])
        self.assertEqual(reloads[0]["policyDigest"], digest)
        self.assertIn("alow", reloads[0]["reason"])
        self.assertNotEqual(reloads[1]["policyDigest"], digest)

        # By a signal, at once; nothing has changed, and nothing is recorded.
        gateway.process.send_signal(signal.SIGHUP)
        self.replace(gateway.policy_file, good)
        gateway.process.send_signal(signal.SIGHUP)
        gateway.wait_for(lambda: gateway.execute("good", {})["node"]["phase"] == "Succeeded", "the first policy is back")
        code, err = gateway.stop()
        self.assertEqual(code, 0, err)
        self.assertEqual(len(self.records("policy.reload")), 3)
        self.assertIn("what was in force stays", err)

    def test_a_broken_egress_policy_of_the_same_files_leaves_both_kinds_in_force(self):
        gateway = Gateway(self, [plugin("good", OK_ANSWER, 14355)])
        digest = json.loads(gateway.admin("/readyz")[1])["policy"]["digest"]
        egress = {"apiVersion": "bulkhead.dev/v1alpha1", "kind": "HttpEgressPolicy", "metadata": {"name": "web"},
                  "spec": {"match": {"namespaces": ["*"], "templates": ["*"]}, "alow": []}}
        self.replace(gateway.policy_file, policy("somebody-else") + "\n---\n" + json.dumps(egress))
        gateway.wait_for(lambda: gateway.metric("bulkhead_policy_reload_error") == 1, "the broken document is told")
        self.assertIn("alow", json.loads(gateway.admin("/readyz")[1])["policy"]["reloadError"])
        self.assertEqual(gateway.execute("good", {})["node"]["phase"], "Succeeded", "the mutation policy did not change alone")

        egress["spec"] = {"match": egress["spec"]["match"], "allow": []}
        self.replace(gateway.policy_file, policy("somebody-else") + "\n---\n" + json.dumps(egress))
        gateway.wait_for(lambda: gateway.metric("bulkhead_policy_reload_error") == 0, "the next file is taken")
        gateway.wait_for(lambda: gateway.execute("good", {})["node"]["phase"] == "Error", "and is in force")
        reloads = self.records("policy.reload")
        self.assertEqual([(r["ok"], r["policyDigest"] == digest) for r in reloads], [(False, True), (True, False)])
        gateway.stop()

    def test_a_new_token_is_taken_at_once_and_a_bad_file_leaves_the_old_one(self):
        gateway = Gateway(self, [plugin("good", OK_ANSWER, 14355)])
        gateway.token_file.write_text(OTHER_TOKEN + "\n")
        self.assertEqual(gateway.call("template.execute", execute_request("good", {}), token=OTHER_TOKEN)[0], 200)
        self.assertEqual(gateway.call("template.execute", execute_request("good", {}), token=TOKEN)[0], 403)
        gateway.token_file.write_text("short")
        gateway.wait_for(lambda: gateway.metric("bulkhead_reloads_total", 'what="token",result="kept"') > 0, "the bad file is told")
        self.assertEqual(gateway.call("template.execute", execute_request("good", {}), token="short")[0], 403)
        self.assertEqual(gateway.call("template.execute", execute_request("good", {}), token=OTHER_TOKEN)[0], 200)

    def test_sigterm_answers_what_is_under_way_and_takes_nothing_more(self):
        slow = """
def answer(h, act, args):
    print('in the call', flush=True)
    time.sleep(1)
    h.reply({'node': {'phase': 'Succeeded', 'message': 'ok'}})
"""
        gateway = Gateway(self, [plugin("slow", slow, 14355)], "-v")
        idle = gateway.connection()
        idle.connect()
        answers = []
        call = threading.Thread(target=lambda: answers.append(gateway.execute("slow", {})))
        call.start()
        gateway.wait_for(lambda: any("in the call" in line for line in gateway.err), "the plugin is asked")
        gateway.process.send_signal(signal.SIGTERM)
        call.join()
        self.assertEqual(answers[0]["node"]["phase"], "Succeeded")
        self.assertEqual(gateway.process.wait(timeout=20), 0)
        with self.assertRaises(OSError):
            gateway.connection().connect()
        idle.close()
        self.assert_verifies()
        self.assertEqual([r["event"] for r in self.records()][-1], "agent.stop")
        self.assertEqual(self.records()[-1]["reason"], "done")

    def test_when_the_audit_log_cannot_be_written_nothing_is_applied_and_it_ends(self):
        gateway = Gateway(self, [plugin("good", OK_ANSWER, 14355)])
        # The next record is longer than what the file may still grow by.
        subprocess.run(["prlimit", "--pid", str(gateway.process.pid), "--fsize=%d" % (self.audit.stat().st_size + 10)], check=True)
        status, text = gateway.call("template.execute", execute_request("good", {}))
        self.assertEqual(status, 500)
        self.assertIn("audit log", text)
        self.assertEqual(gateway.process.wait(timeout=30), 1)

    def test_wrong_options_are_told_before_anything_is_started(self):
        self.write("plugins/good.json", plugin("good", OK_ANSWER, 14355))
        self.write("token", TOKEN)
        self.write("short", "short")
        for args, reason in ((("--listen", "0.0.0.0:4355"), "loopback only"), (("--listen", "example.org:80"), "no address"), (("--tls-cert", "x"), "needs all of"),
                             (("--token-file", "/nonexistent"), "/nonexistent"), (("--token-file", self.dir / "short"), "could be guessed"),
                             (("--tls-cert", "a", "--tls-key", "b", "--tls-ca", "c", "--client-uri", "d"), "a: no certificate"), (("--hook-timeout", "soon"), "--hook-timeout"),
                             (("--policy", "/nonexistent"), "/nonexistent"), (("--plugins", "/nonexistent"), "/nonexistent")):
            with self.subTest(args=args):
                defaults = {"--plugins": self.dir / "plugins", "--token-file": self.dir / "token", "--audit": self.audit}
                command = [x for k, v in defaults.items() if k not in args for x in (k, v)]
                run = self.bulkhead("serve", *command, *args, timeout=20)
                self.assertEqual(run.code, 2, str(run))
                self.assertIn(reason, run.err)
                self.assertFalse(self.audit.exists())
        run = self.bulkhead("serve", "--help")
        self.assertEqual(run.code, 0)
        for word in ("--listen", "--token-file", "--client-uri", "bulkhead.dev/methods", "SIGHUP", "Exit codes"):
            self.assertIn(word, run.out)


class Manifest(BulkheadCase):
    """deploy/gateway: the gateway as one ordinary executor plugin."""

    def test_the_manifest_is_one_that_argo_takes_and_pod_security_restricted_admits(self):
        text = (ROOT / "deploy" / "gateway" / "plugin.yaml").read_text()
        # The container has the program in its own place; here it is where it was built.
        path = self.write("plugin.yaml", text.replace("/usr/bin/bulkhead", BULKHEAD))
        run = self.bulkhead("plugin", "check", path, "-o", "json")
        self.assertEqual(run.code, 0, str(run))
        (spec,) = json.loads(run.out)
        self.assertEqual(spec["name"], "bulkhead")
        for line in ("runAsNonRoot: true", "runAsUser: 8737", "allowPrivilegeEscalation: false", "drop: [ALL]", "type: RuntimeDefault", "automountServiceAccountToken: false"):
            self.assertIn(line, text)
        for wrong in ("privileged: true", "hostPort", "capabilities.add", "runAsUser: 0"):
            self.assertNotIn(wrong, text)

    def test_its_arguments_are_ones_that_serve_takes(self):
        text = (ROOT / "deploy" / "gateway" / "plugin.yaml").read_text()
        flags = {word for word in text.replace("[", " ").replace(",", " ").split() if word.startswith("--")}
        self.assertGreater(len(flags), 2)
        help_text = self.bulkhead("serve", "--help").out
        for flag in flags:
            self.assertIn(flag, help_text)


if __name__ == "__main__":
    unittest.main()
