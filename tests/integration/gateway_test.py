"""The gateway as Argo sees it: one executor plugin, with sandboxed ones behind it."""

import json
import threading
import time
import unittest

from bulkhead_case import BulkheadCase, OK_ANSWER, plugin, policy
from gateway_case import Gateway, TOKEN, execute_request, workflow_arg

ECHO = """
def answer(h, act, args):
    h.reply({'node': {'phase': 'Succeeded', 'message': act.get('text', 'ok')}})
"""


class StockAgent(BulkheadCase):
    """template.execute, as Argo's agent asks it."""

    def test_a_task_is_executed_in_both_tiers_and_recorded_with_its_caller(self):
        for tier in ("strict", "restricted"):
            with self.subTest(tier=tier):
                gateway = Gateway(self, [plugin("echo", ECHO, 14355)], "--tier", tier)
                self.assertEqual(gateway.execute("echo", {"text": "hi"}), {"node": {"phase": "Succeeded", "message": "hi"}})
                code, err = gateway.stop()
                self.assertEqual(code, 0, err)
                self.assert_verifies()
                call = self.records("call")[-1]
                self.assertEqual((call["caller"], call["plugin"], call["tier"], call["method"], call["workflow"], call["applied"]),
                                 ("token", "echo", tier, "template.execute", "wf", True))
                self.assertEqual(self.records()[-1]["event"], "agent.stop")

    def test_a_refused_reply_is_an_error_of_the_node_with_the_reason(self):
        answer = """
def answer(h, act, args):
    h.reply({'node': {'phase': 'Succeeded', 'outputs': {'parameters': [{'name': 'x', 'value': '{{workflow.name}}'}]}}})
"""
        gateway = Gateway(self, [plugin("evil", answer, 14355)])
        node = gateway.execute("evil", {})["node"]
        self.assertEqual(node["phase"], "Error")
        self.assertIn("refused by policy", node["message"])
        (call,) = self.records("call")
        self.assertEqual((call["applied"], call["stoppedBy"]), (False, "policy"))

    def test_what_is_nobodys_is_an_empty_reply_and_the_next_plugin_is_asked(self):
        null = "def answer(h, act, args):\n    h.reply(None)\n"
        takes = OK_ANSWER
        first, second = plugin("a-null", null, 14355), plugin("b-takes", takes, 14356)
        for manifest in (first, second):
            del manifest["metadata"]["annotations"]
        gateway = Gateway(self, [first, second, plugin("keyed", OK_ANSWER, 14357)])
        self.assertEqual(gateway.execute("whatever", {})["node"]["phase"], "Succeeded")
        self.assertEqual([c["plugin"] for c in self.records("call")], ["a-null", "b-takes"])
        self.assertEqual(gateway.call("template.execute", execute_request("keyed", {}))[0], 200)

        alone = plugin("a-null", null, 14355)
        del alone["metadata"]["annotations"]
        (self.dir / "plugins" / "b-takes.json").unlink()
        gateway.stop()
        gateway = Gateway(self, [alone])
        self.assertEqual(gateway.execute("whatever", {}), {})

    def test_a_method_that_no_plugin_has_is_404_and_a_broken_plugin_is_not(self):
        unsupported = "def answer(h, act, args):\n    h.reply({}, 404)\n"
        broken = plugin("broken", None, 14356, source="import sys; sys.exit(1)")
        gateway = Gateway(self, [plugin("none", unsupported, 14355), broken])
        self.assertEqual(gateway.call("node.preExecute", {})[0], 404)
        # The one plugin that was asked has no such method, but another may have.
        self.assertEqual(gateway.execute("none", {}), {})
        node = gateway.execute("broken", {})["node"]
        self.assertEqual(node["phase"], "Failed")
        self.assertRegex(node["message"], "exit")
        gateway.stop()
        (self.dir / "plugins" / "broken.json").unlink()
        gateway = Gateway(self, [plugin("none", unsupported, 14355)])
        self.assertEqual(gateway.execute("none", {}), {})
        self.assertEqual(gateway.execute("none", {})[0], 404)

    def test_the_same_call_again_joins_the_execution_that_nobody_waits_for(self):
        answer = """
count = [0]
release = threading.Event()
def answer(h, act, args):
    if act.get('release'):
        release.set()
        return h.reply({'node': {'phase': 'Succeeded', 'message': 'released'}})
    count[0] += 1
    mine = count[0]
    print('in the call', flush=True)
    if act.get('slow'): release.wait(20)
    h.reply({'node': {'phase': 'Succeeded', 'message': 'execution %d' % mine}})
"""
        gateway = Gateway(self, [plugin("slow", answer, 14355)], "-v")
        request = json.dumps(execute_request("slow", {"slow": True}))
        gone = gateway.connection()
        gone.request("POST", "/api/v1/template.execute", request, {"Content-Type": "application/json", "Authorization": "Bearer " + TOKEN})
        gateway.wait_for(lambda: any("in the call" in line for line in gateway.err), "the plugin is asked")
        gone.close()  # Argo's agent has given up
        results = []
        repeated = threading.Thread(target=lambda: results.append(gateway.call("template.execute", request)))
        repeated.start()
        gateway.wait_for(lambda: gateway.metric("bulkhead_gateway_repeated_calls_total") == 1, "the call joins")
        gateway.execute("slow", {"release": True})
        repeated.join()
        self.assertEqual(json.loads(results[0][1])["node"]["message"], "execution 1")
        self.assertEqual(len(self.records("call")), 2)

    def test_an_answer_that_nobody_waited_for_is_kept_for_the_call_that_comes_again(self):
        answer = """
count = [0]
def answer(h, act, args):
    count[0] += 1
    print('in the call', flush=True)
    time.sleep(0.5)
    h.reply({'node': {'phase': 'Succeeded', 'message': 'execution %d' % count[0]}})
"""
        gateway = Gateway(self, [plugin("slow", answer, 14355)], "-v")
        request = json.dumps(execute_request("slow", {}))
        gone = gateway.connection()
        gone.request("POST", "/api/v1/template.execute", request, {"Content-Type": "application/json", "Authorization": "Bearer " + TOKEN})
        gateway.wait_for(lambda: any("in the call" in line for line in gateway.err), "the plugin is asked")
        gone.close()
        gateway.wait_for(lambda: len(self.records("call")) == 1, "the execution ends")
        status, text = gateway.call("template.execute", request)
        self.assertEqual(json.loads(text)["node"]["message"], "execution 1")
        # It was delivered: the next one is another node, or a retry of the workflow.
        self.assertEqual(json.loads(gateway.call("template.execute", request)[1])["node"]["message"], "execution 2")

    def test_two_nodes_with_the_same_template_run_each_by_themselves(self):
        answer = """
barrier = threading.Barrier(2)
def answer(h, act, args):
    barrier.wait(10)
    h.reply({'node': {'phase': 'Succeeded', 'message': 'ok'}})
"""
        gateway = Gateway(self, [plugin("pair", answer, 14355)])
        results = []
        nodes = [threading.Thread(target=lambda: results.append(gateway.execute("pair", {}))) for _ in range(2)]
        for node in nodes:
            node.start()
        for node in nodes:
            node.join()
        self.assertEqual([r["node"]["phase"] for r in results], ["Succeeded"] * 2)

    def test_what_a_requeued_task_reported_is_judged_with_its_next_reply(self):
        answer = """
seen = {}
def answer(h, act, args):
    step = seen[act['task']] = seen.get(act['task'], 0) + 1
    if step == 1:
        return h.reply({'node': {'phase': 'Running', 'message': 'started'}, 'requeue': '1s'})
    h.reply({'node': {'phase': 'Succeeded'}})
"""
        gateway = Gateway(self, [plugin("slow", answer, 14355)])
        first = gateway.execute("slow", {"task": "a"})
        self.assertEqual(first, {"node": {"phase": "Running", "message": "started"}, "requeue": "1s"})
        time.sleep(1.1)  # as the agent does
        self.assertEqual(gateway.execute("slow", {"task": "a"}), {"node": {"phase": "Succeeded", "message": "started"}})
        # Nothing is left of it for another node.
        self.assertEqual(gateway.execute("slow", {"task": "a"}), {"node": {"phase": "Succeeded"}})

    def test_a_plugin_that_dies_is_started_again(self):
        answer = """
def answer(h, act, args):
    if act.get('die'): os._exit(9)
    h.reply({'node': {'phase': 'Succeeded', 'message': 'ok'}})
"""
        gateway = Gateway(self, [plugin("p", answer, 14355)])
        self.assertEqual(gateway.execute("p", {"die": True})["node"]["phase"], "Failed")
        self.assertEqual(gateway.execute("p", {})["node"]["phase"], "Succeeded")

    def test_a_plugin_that_hangs_holds_up_nobody_else(self):
        hang = "def answer(h, act, args):\n    time.sleep(60)\n"
        gateway = Gateway(self, [plugin("hang", hang, 14355), plugin("good", OK_ANSWER, 14356)], "--workers", "1", "--drain-timeout", "1s")
        stuck = [threading.Thread(target=lambda i=i: self.quietly(gateway, i), daemon=True) for i in range(8)]
        for thread in stuck:
            thread.start()
        # One runs, two wait, the others are told to come again.
        gateway.wait_for(lambda: gateway.metric("bulkhead_gateway_busy_total", 'plugin="hang"') == 5, "the lane is full")
        for i in range(3):
            self.assertEqual(gateway.execute("good", {"i": i})["node"]["phase"], "Succeeded")
        code, err = gateway.stop()
        self.assertEqual(code, 0, err)

    def quietly(self, gateway, i):
        try:
            gateway.execute("hang", {"i": i})
        except OSError:
            pass

    def test_in_a_pod_no_restricted_plugin_sees_the_gateways_own_token(self):
        """Argo mounts it where plugins look for theirs; here a mount namespace stands for the pod."""
        source = """
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
class Plugin(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers['Content-Length']))
        try: seen = open('/var/run/argo/token').read()
        except OSError as error: seen = type(error).__name__
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({'node': {'phase': 'Succeeded', 'message': seen}}).encode())
HTTPServer(('', 14355), Plugin).serve_forever()
"""
        pod = ["unshare", "--mount", "--propagation", "private", "sh", "-c",
               'mount -t tmpfs none /run && mkdir /run/argo && printf %s ' + TOKEN + ' > /run/argo/token && chmod 0444 /run/argo/token && exec "$@"', "sh"]
        gateway = Gateway(self, [plugin("p", None, 14355, source=source)], "--tier", "restricted", token_file="/var/run/argo/token", prefix=pod)
        self.assertEqual(gateway.execute("p", {}), {"node": {"phase": "Succeeded", "message": "PermissionError"}})
        code, err = gateway.stop()
        self.assertEqual(code, 0, err)
        self.assertIn("gets no token", err)

    def test_secrets_are_masked_in_replies_records_and_what_is_logged(self):
        answer = """
def answer(h, act, args):
    print('out ' + os.environ['API_KEY'], flush=True)
    h.reply({'node': {'phase': 'Succeeded', 'message': 'it is ' + os.environ['API_KEY'] + ' and ' + TOKEN}})
"""
        manifest = plugin("leaky", answer, 14355, env=[{"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": "api", "key": "key"}}}])
        self.write("plugins/secret.json", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "api"}, "stringData": {"key": "s3cr3t-value-1234"}})
        gateway = Gateway(self, [manifest], "-v")
        reply = gateway.execute("leaky", {})
        self.assertIn("[REDACTED:api/key]", reply["node"]["message"])
        code, err = gateway.stop()
        everything = json.dumps(reply) + err + self.audit.read_text()
        self.assertNotIn("s3cr3t-value-1234", everything)
        self.assertNotIn(TOKEN, everything)


if __name__ == "__main__":
    unittest.main()
