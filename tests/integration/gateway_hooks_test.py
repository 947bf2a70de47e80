"""The gateway before a controller with the plugins of 2021: five hooks, one second each, asked once."""

import http.client
import json
import socket
import ssl
import subprocess
import time
import unittest

from bulkhead_case import BulkheadCase, OK_ANSWER, plugin
from gateway_case import Gateway, workflow_arg

# `answer(h, method, args)` for every method of the RPC.
SERVER = """
import json, os, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Plugin(BaseHTTPRequestHandler):
    def log_message(self, *args): pass
    def reply(self, value, status=200):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)
    def do_POST(self):
        args = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        answer(self, self.path[len('/api/v1/'):], args)
%s
ThreadingHTTPServer.request_queue_size = 128
ThreadingHTTPServer(('', %d), Plugin).serve_forever()
"""
HOOKS = ("workflow.preOperate", "workflow.postOperate", "node.preExecute", "node.postExecute", "parameters.add")


def hook_plugin(name, answer, port, methods=HOOKS):
    manifest = plugin(name, None, port, source=SERVER % (answer, port))
    manifest["metadata"]["annotations"] = {"bulkhead.dev/methods": ", ".join(methods)}
    return manifest


def hook_policy(*names, extra=""):
    return "---\n".join("""
apiVersion: bulkhead.dev/v1alpha1
kind: MutationPolicy
metadata: {name: %s, owner: tests@example.com, reviewBy: "2099-01-01"}
spec:
  mode: enforce
  match: {plugin: {name: %s}, rpc: [workflow.preOperate, workflow.postOperate, node.preExecute, node.postExecute, parameters.add], namespaces: ["*"], templates: ["*"]}
  allow:
    - {id: label, path: "workflow.metadata.labels[*]", value: {charset: token, maxBytes: 63}}
    - {id: phase, path: node.phase, value: {enum: [Skipped, Failed, Error]}}
    - {id: message, path: node.message, value: {charset: text, maxBytes: 256}}
    - {id: parameter, path: "parameters[*]", value: {charset: printable, maxBytes: 256}}
""" % (name, name) for name in names) + extra


class Controller(BulkheadCase):
    """Plain HTTP on loopback, no token."""

    def gateway(self, *plugins, args=()):
        names = [p["metadata"]["name"] for p in plugins]
        return Gateway(self, list(plugins), "--hooks-without-token", *args, policies=hook_policy(*names))

    def hook(self, gateway, method, **args):
        status, text = gateway.call(method, args, token=None, timeout=5)
        return (status, json.loads(text)) if status == 200 else (status, text)

    def test_labels_are_added_by_each_plugin_in_order_and_owned_by_it(self):
        first = hook_plugin("first", """
def answer(h, method, args):
    args['workflow']['metadata'].setdefault('labels', {})['team'] = 'red'
    h.reply({'workflow': {'metadata': args['workflow']['metadata']}})
""", 14355)
        second = hook_plugin("second", """
def answer(h, method, args):
    labels = args['workflow']['metadata']['labels']
    h.reply({'workflow': {'metadata': {'labels': {'cost-center': labels['team'] + '-7'}}}})
""", 14356)
        gateway = self.gateway(first, second)
        workflow = workflow_arg()
        workflow["metadata"]["labels"] = {"app": "x"}
        workflow["spec"] = {"entrypoint": "main"}
        status, reply = self.hook(gateway, "workflow.preOperate", workflow=workflow)
        self.assertEqual((status, reply), (200, {"workflow": {"metadata": {"labels": {"team": "red", "cost-center": "red-7"}}}}))
        self.assertEqual([(r["plugin"], r["method"], r["caller"], r["applied"]) for r in self.records("call")],
                         [("first", "workflow.preOperate", "loopback", True), ("second", "workflow.preOperate", "loopback", True)])
        self.assert_verifies()

    def test_two_plugins_may_not_fight_over_a_leaf(self):
        def labeller(name, value, port):
            return hook_plugin(name, "def answer(h, method, args):\n    h.reply({'workflow': {'metadata': {'labels': {'team': '%s'}}}})\n" % value, port)
        gateway = self.gateway(labeller("one", "red", 14355), labeller("two", "blue", 14356))
        status, text = self.hook(gateway, "workflow.preOperate", workflow=workflow_arg())
        self.assertEqual(status, 422)
        for part in ("workflow.metadata.labels[team]", '"one"', '"two"', "gateway.owner"):
            self.assertIn(part, text)
        self.assertEqual([r["applied"] for r in self.records("call")], [False, False])
        gateway.stop()
        # Of one mind, they do not fight.
        gateway = self.gateway(labeller("one", "red", 14355), labeller("two", "red", 14356))
        self.assertEqual(self.hook(gateway, "workflow.preOperate", workflow=workflow_arg())[0], 200)

    def test_a_refused_reply_of_one_plugin_stops_the_hook(self):
        def labeller(name, label, port):
            return hook_plugin(name, "def answer(h, method, args):\n    h.reply({'workflow': {'metadata': {'labels': {'%s': 'x'}}}})\n" % label, port)
        gateway = self.gateway(labeller("a-good", "team", 14355), labeller("b-bad", "workflows.argoproj.io/completed", 14356), labeller("c-next", "tier", 14357))
        status, text = self.hook(gateway, "workflow.preOperate", workflow=workflow_arg())
        self.assertEqual(status, 422, text)
        for part in ('"b-bad"', "argo.controller-labels"):
            self.assertIn(part, text)
        # Nothing of the one before is applied, and the one behind is not asked.
        self.assertEqual([(r["plugin"], r["applied"]) for r in self.records("call")], [("a-good", False), ("b-bad", False)])

    def test_each_hook_takes_its_own_kind_of_reply_and_no_other(self):
        replies = {
            # method: what is applied, then what is refused with the reason
            "workflow.preOperate": ({"workflow": {"metadata": {"labels": {"team": "red"}}}},
                                    [({"workflow": {"metadata": {"labels": {"workflows.argoproj.io/completed": "true"}}}}, "argo.controller-labels"),
                                     ({"workflow": {"metadata": {"ownerReferences": []}}}, "ownerReferences"),
                                     ({"workflow": {"spec": {"serviceAccountName": "admin"}}}, "argo.credentials"),
                                     ({"workflow": {"metadata": {"Labels": {"a": "b"}}}}, "decode."), ({"node": {}}, "decode."), ("not json", "decode.")]),
            "node.preExecute": ({"node": {"phase": "Skipped", "message": "not today"}},
                                [({"node": {"phase": "Succeeded"}}, "node.phase"), ({"node": {"id": "other"}}, "decode."), ({"node": {"outputs": {"exitCode": "0"}}}, "exitCode")]),
            "parameters.add": ({"parameters": {"greeting": "hello"}},
                               [({"parameters": {"greeting": "{{workflow.name}}"}}, "argo.values"), ({"parameters": {"workflow.name": "x"}}, "workflow.name"),
                                ({"parameters": {"x": 1.5}}, "decode.")]),
            "workflow.postOperate": ({}, [({"workflow": {}}, ""), ({"x": 1}, "")]),
            "node.postExecute": ({}, [({"node": {"phase": "Error"}}, "")]),
        }
        answer = """
def answer(h, method, args):
    about = args.get('workflow') or args.get('new')
    h.reply(about['metadata']['labels']['reply'].encode())
"""
        gateway = self.gateway(hook_plugin("p", answer, 14355))
        template = {"name": "t", "container": {"image": "x"}}

        def ask(method, reply):
            workflow = workflow_arg()
            workflow["metadata"]["labels"] = {"reply": reply if isinstance(reply, str) else json.dumps(reply)}
            args = {"workflow": workflow}
            if method == "workflow.postOperate":
                args = {"old": workflow, "new": workflow}
            elif method != "workflow.preOperate":
                args["template"] = template
            if method == "node.preExecute":
                args["node"] = {"id": "n", "name": "n", "phase": "Pending", "type": "Pod"}
            elif method == "node.postExecute":
                args.update(old={"id": "n"}, new={"id": "n"})
            return self.hook(gateway, method, **args)

        for method, (good, bad) in replies.items():
            with self.subTest(method=method, good=good):
                self.assertEqual(ask(method, good), (200, good))
            # An empty body is no JSON; only the post hooks, whose reply has nothing anyway, take it.
            for nothing in ("{}", "null") + (("",) if "post" in method else ()):
                with self.subTest(method=method, nothing=nothing):
                    self.assertEqual(ask(method, nothing), (200, {}))
            for reply, reason in bad:
                with self.subTest(method=method, bad=reply):
                    status, text = ask(method, reply)
                    self.assertEqual(status, 422, text)
                    self.assertIn(reason, text)
        applied = [r for r in self.records("call") if r["applied"] and r.get("verdicts")]
        self.assertEqual(len(applied), 3)

    def test_a_hook_has_a_second_and_one_attempt(self):
        answer = """
count = [0]
def answer(h, method, args):
    count[0] += 1
    if method == 'node.preExecute': time.sleep(5)
    if method == 'parameters.add': return h.reply(b'not now', 503)
    if method == 'workflow.preOperate': os._exit(3)
    if method == 'node.postExecute': return h.reply({'x': count[0]}, 500)
    h.reply({})
"""
        gateway = self.gateway(hook_plugin("p", answer, 14355))
        template = {"name": "t"}
        begin = time.monotonic()
        status, text = self.hook(gateway, "node.preExecute", workflow=workflow_arg(), template=template, node={"id": "n"})
        self.assertEqual(status, 504, text)
        self.assertLess(time.monotonic() - begin, 4, "the plugin takes five seconds")
        status, text = self.hook(gateway, "parameters.add", workflow=workflow_arg(), template=template)
        self.assertEqual(status, 502, text)
        status, text = self.hook(gateway, "node.postExecute", workflow=workflow_arg(), template=template, old={}, new={})
        self.assertEqual(status, 502)
        self.assertIn('"x": 3', text.replace("\\", ""), "asked once each")
        status, text = self.hook(gateway, "workflow.preOperate", workflow=workflow_arg())
        self.assertEqual(status, 502)
        self.assertIn("exit", text)
        self.assertEqual({r["attempts"] for r in self.records("call")}, {1})

    def test_a_404_is_passed_on_only_when_nobody_serves_the_method(self):
        none = "def answer(h, method, args):\n    h.reply({}, 404)\n"
        some = "def answer(h, method, args):\n    h.reply({'parameters': {'a': 'b'}})\n"
        gateway = self.gateway(hook_plugin("none", none, 14355), hook_plugin("some", some, 14356, methods=["parameters.add"]), plugin("executor", OK_ANSWER, 14357))
        args = dict(workflow=workflow_arg(), template={"name": "t"})
        for _ in range(2):
            self.assertEqual(self.hook(gateway, "parameters.add", **args), (200, {"parameters": {"a": "b"}}))
        self.assertEqual([r["plugin"] for r in self.records("call")], ["none", "some", "some"], "a 404 is remembered")
        self.assertEqual(self.hook(gateway, "workflow.preOperate", workflow=workflow_arg()), (200, {}), "the plugin itself was asked")
        self.assertEqual(self.hook(gateway, "workflow.preOperate", workflow=workflow_arg())[0], 404)

    def test_without_a_token_there_are_hooks_and_nothing_else(self):
        gateway = self.gateway(hook_plugin("p", "def answer(h, method, args):\n    h.reply({})\n", 14355, methods=HOOKS + ("template.execute",)))
        request = dict(workflow=workflow_arg(), template={"name": "t", "plugin": {"p": {}}})
        self.assertEqual(self.hook(gateway, "parameters.add", **request)[0], 200)
        self.assertEqual(self.hook(gateway, "template.execute", **request)[0], 401)
        self.assertEqual(gateway.call("parameters.add", request, token="wrong")[0], 403)
        self.assertEqual(gateway.call("parameters.add", request, token=None, headers={"Authorization": "Basic eDp5"})[0], 401)
        self.assertEqual(gateway.call("template.execute", request)[0], 200)


def make_certificates(folder):
    """An authority, a server, and clients, by the openssl program."""
    def openssl(*args):
        subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, cwd=folder)

    def authority(name):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key", "-out", name + ".crt",
                "-days", "2", "-subj", "/CN=" + name, "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")

    def leaf(name, ca, usage, names, days=2):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key", "-out", name + ".csr", "-subj", "/CN=" + name)
        (folder / (name + ".ext")).write_text("subjectAltName=%s\n%s" % (names, "extendedKeyUsage=%s\n" % usage if usage else ""))
        openssl("x509", "-req", "-in", name + ".csr", "-CA", ca + ".crt", "-CAkey", ca + ".key", "-CAcreateserial", "-out", name + ".crt", "-days", days, "-extfile", name + ".ext")

    authority("ca")
    authority("other-ca")
    controller = "URI:spiffe://example.org/argo/controller"
    leaf("server", "ca", "serverAuth", "DNS:localhost,IP:127.0.0.1,URI:spiffe://example.org/bulkhead")
    leaf("controller", "ca", "clientAuth", controller)
    leaf("both-usages", "ca", "clientAuth,serverAuth", controller + ",DNS:controller.argo.svc")
    leaf("somebody", "ca", "clientAuth", "URI:spiffe://example.org/argo/somebody")
    leaf("two-uris", "ca", "clientAuth", controller + ",URI:spiffe://example.org/argo/somebody")
    leaf("two-uris-turned", "ca", "clientAuth", "URI:spiffe://example.org/argo/somebody," + controller)
    leaf("dns-only", "ca", "clientAuth", "DNS:controller")
    leaf("server-usage", "ca", "serverAuth", controller)
    leaf("no-usage", "ca", None, controller)
    leaf("forged", "other-ca", "clientAuth", controller)
    leaf("expired", "ca", "clientAuth", controller, days=-1)
    leaf("server2", "ca", "serverAuth", "DNS:localhost,IP:127.0.0.1,URI:spiffe://example.org/bulkhead")


class MutualTls(BulkheadCase):
    def setUp(self):
        super().setUp()
        make_certificates(self.dir)
        self.write("server-now.crt", (self.dir / "server.crt").read_text())
        self.write("server-now.key", (self.dir / "server.key").read_text())
        tls = ["--tls-cert", self.dir / "server-now.crt", "--tls-key", self.dir / "server-now.key", "--tls-ca", self.dir / "ca.crt",
               "--client-uri", "spiffe://example.org/argo/controller"]
        answer = "def answer(h, method, args):\n    h.reply({'parameters': {'a': 'b'}})\n"
        self.gateway = Gateway(self, [hook_plugin("p", answer, 14355)], tls=tls, policies=hook_policy("p"))

    def context(self, client, maximum=None):
        context = ssl.create_default_context(cafile=str(self.dir / "ca.crt"))
        if client:
            context.load_cert_chain(self.dir / (client + ".crt"), self.dir / (client + ".key"))
        if maximum:
            context.maximum_version = maximum
        return context

    def ask(self, client, maximum=None):
        connection = http.client.HTTPSConnection("127.0.0.1", self.gateway.port, timeout=10, context=self.context(client, maximum))
        try:
            connection.request("POST", "/api/v1/parameters.add", json.dumps({"workflow": workflow_arg(), "template": {"name": "t"}}), {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read().decode(), connection.sock and connection.sock.getpeercert()["serialNumber"]
        finally:
            connection.close()

    def test_the_right_client_needs_no_token_and_no_other_gets_in(self):
        for client in ("controller", "both-usages"):
            status, text, _ = self.ask(client)
            self.assertEqual((status, json.loads(text)), (200, {"parameters": {"a": "b"}}))
        self.assertEqual(self.records("call")[0]["caller"], "uri:spiffe://example.org/argo/controller")
        for client in (None, "somebody", "two-uris", "two-uris-turned", "dns-only", "server-usage", "no-usage", "forged", "expired"):
            with self.subTest(client=client), self.assertRaises(OSError):
                self.ask(client)
        with self.assertRaises(OSError):
            self.ask("controller", ssl.TLSVersion.TLSv1_2)
        self.assertNotIn(b"HTTP", self.gateway.raw(b"POST /api/v1/parameters.add HTTP/1.1\r\nHost: x\r\n\r\n"))
        self.assertEqual(len(self.records("call")), 2)
        self.assertEqual(self.ask("controller")[0], 200)

    def test_a_handshake_that_is_never_finished_is_ended(self):
        with socket.create_connection(("127.0.0.1", self.gateway.port), timeout=20) as s:
            s.sendall(b"\x16\x03\x01")
            begin = time.monotonic()
            self.assertEqual(s.recv(1), b"")
            self.assertLess(time.monotonic() - begin, 10)

    def test_renewed_certificates_are_served_and_broken_ones_are_not(self):
        first = self.serial()
        (self.dir / "server-now.crt").write_text("no certificate")
        self.gateway.wait_for(lambda: self.gateway.metric("bulkhead_reloads_total", 'what="certificate",result="kept"') > 0, "the broken file is told")
        self.assertEqual(self.serial(), first)
        (self.dir / "server-now.key").write_text((self.dir / "server2.key").read_text())
        (self.dir / "server-now.crt").write_text((self.dir / "server2.crt").read_text())
        self.gateway.wait_for(lambda: self.serial() != first, "the new certificate is served")

    def serial(self):
        with socket.create_connection(("127.0.0.1", self.gateway.port), timeout=10) as raw:
            with self.context("controller").wrap_socket(raw, server_hostname="127.0.0.1") as s:
                return s.getpeercert()["serialNumber"]


if __name__ == "__main__":
    unittest.main()
