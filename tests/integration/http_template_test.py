"""HTTP templates against servers on loopback that the egress policy names: what Argo's agent does, and what it must not."""

import base64
import http.server
import json
import socket
import ssl
import subprocess
import threading
import unittest

from bulkhead_case import BulkheadCase, OK_ANSWER, plugin, policy

SECRET = "Bearer s3cr3t-of-the-api-0123456789"


class Answers(http.server.BaseHTTPRequestHandler):
    """Each path is one behaviour. `server.seen` keeps what came."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        path = self.path.split("?")[0]
        self.server.seen.append({"method": self.command, "path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}, "body": body})
        if path.startswith("/status/"):
            return self.reply(b"status", int(path.rsplit("/", 1)[1]))
        if path.startswith("/to/"):  # /to/<status>/<location>
            _, _, status, location = path.split("/", 3)
            return self.reply(b"", int(status), Location=base64.urlsafe_b64decode(location).decode())
        if path == "/loop":
            return self.reply(b"", 302, Location="/loop")
        if path == "/echo":
            return self.reply(json.dumps({"method": self.command, "body": base64.b64encode(body).decode(), "headers": dict(self.headers.items())}).encode())
        if path == "/braces":
            return self.reply(b"{{workflow.name}}")
        if path == "/nested":
            return self.reply(b'{"a":{"b":{}}}')
        if path == "/escape":
            return self.reply(b"a\x1b[2Jb")
        if path == "/binary":
            return self.reply(b"\xff\xfe")
        if path == "/large":
            return self.reply(b"x" * 300000)
        if path == "/endless":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            except OSError:
                return None
        if path == "/slow":
            self.server.released.wait(60)
            return None
        if path == "/early-hints":
            self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            return None
        if path == "/smuggle":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok")
            self.close_connection = True
            return None
        return self.reply(b"hello")

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = answer

    def do_CONNECT(self):
        self.server.seen.append({"method": "CONNECT", "path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}})
        host, port = self.path.rsplit(":", 1)
        upstream = socket.create_connection(("127.0.0.1", int(port)), timeout=20)
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threads = [threading.Thread(target=pump, args=pair, daemon=True) for pair in ((self.connection, upstream), (upstream, self.connection))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.close_connection = True

    def reply(self, body, status=200, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def to(status, location):
    return "/to/%d/%s" % (status, base64.urlsafe_b64encode(location.encode()).decode())


def egress(rules, **spec):
    return json.dumps({
        "apiVersion": "bulkhead.dev/v1alpha1",
        "kind": "HttpEgressPolicy",
        "metadata": {"name": "egress"},
        "spec": {"match": {"namespaces": ["*"], "templates": ["*"]}, "allow": rules, **spec},
    })


class HttpTemplateTest(BulkheadCase):
    def serve(self, context=None, address="127.0.0.1"):
        server = http.server.ThreadingHTTPServer((address, 0), Answers)
        server.daemon_threads = True
        server.seen = []
        server.released = threading.Event()
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()

        def stop():
            server.released.set()
            server.shutdown()
            thread.join()
            server.server_close()

        self.addCleanup(stop)
        server.url = "%s://127.0.0.1:%d" % ("https" if context is not None else "http", server.server_port)
        return server

    def rule(self, *servers, **more):
        rule = {"id": "local", "hosts": ["127.0.0.1"], "addresses": ["127.0.0.1"], "schemes": ["http"], "ports": [s.server_port for s in servers], "methods": ["GET", "POST", "PUT", "HEAD"]}
        rule.update(more)
        return rule

    def run_http(self, templates, policies, *args, plugins=None, env=None):
        document = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "WorkflowTaskSet",
            "metadata": {"name": "wf", "namespace": "ns"},
            "spec": {"tasks": {node: {"name": "t-" + node, "http": http} for node, http in templates.items()}},
        }
        command = ["run", self.write("tasks.json", document), "--audit", self.audit, "-o", "json", *args]
        if policies:
            command += ["--policy", self.write("policy.yaml", policies)]
        if plugins:
            command += ["--plugins", self.write("plugins/secrets.yaml", plugins)]
        return self.bulkhead(*command, env=env)

    def records_by_node(self):
        return {r["node"]: r for r in self.records("http")}

    def test_requests_are_made_as_argos_agent_makes_them(self):
        server = self.serve()
        run = self.run_http({
            "get": {"url": server.url + "/hello?key=value"},
            "post": {"url": server.url + "/echo", "method": "POST", "body": "a body", "headers": [{"name": "Content-Type", "value": "text/plain"}]},
            "bytes": {"url": server.url + "/echo", "method": "PUT", "bodyFrom": {"bytes": base64.b64encode(b"\x00\xff").decode()}},
            "head": {"url": server.url + "/large", "method": "HEAD"},
            "missing": {"url": server.url + "/status/404"},
            "hints": {"url": server.url + "/early-hints"},
            "nested": {"url": server.url + "/nested"},
            "empty": {"url": server.url + "/status/204"},
        }, egress([self.rule(server)]))
        nodes = run.nodes()
        self.assertEqual(nodes["get"], {"phase": "Succeeded", "outputs": {"result": "hello"}}, str(run))
        echo = json.loads(nodes["post"]["outputs"]["result"])
        self.assertEqual((echo["method"], base64.b64decode(echo["body"]), echo["headers"]["Content-Type"]), ("POST", b"a body", "text/plain"))
        self.assertEqual(base64.b64decode(json.loads(nodes["bytes"]["outputs"]["result"])["body"]), b"\x00\xff")
        self.assertEqual(nodes["head"], {"phase": "Succeeded", "outputs": {"result": ""}})
        self.assertEqual(nodes["missing"], {"phase": "Failed", "message": "received non-2xx response code: 404", "outputs": {"result": "status"}})
        self.assertEqual(nodes["hints"]["outputs"]["result"], "ok")
        self.assertEqual(nodes["nested"]["outputs"]["result"], '{"a":{"b":{}}}')
        self.assertEqual(nodes["empty"]["phase"], "Succeeded")
        first = next(s for s in server.seen if s["path"].startswith("/hello"))
        self.assertEqual((first["path"], first["headers"]["host"]), ("/hello?key=value", "127.0.0.1:%d" % server.server_port))
        record = self.records_by_node()["get"]
        self.assertEqual(record["requests"], [{"method": "GET", "url": server.url + "/hello", "rules": "egress/local at %s:1" % (self.dir / "policy.yaml"), "address": "127.0.0.1", "status": 200}])
        self.assertEqual((record["phase"], record["applied"], record["responseBytes"]), ("Succeeded", True, 5))
        self.assert_verifies()

    def test_nothing_is_reached_without_a_rule(self):
        server = self.serve()
        other = self.serve()
        url = server.url
        cases = {
            # node: (template, what the message must say)
            "port": ({"url": other.url}, "does not allow port"),
            "scheme": ({"url": url.replace("http:", "https:")}, "does not allow scheme https"),
            "method": ({"url": url, "method": "DELETE"}, "does not allow method DELETE"),
            "host": ({"url": "http://other.test:%d/" % server.server_port}, "no rule of egress policy egress"),
            "loopback": ({"url": "http://localhost:%d/" % server.server_port}, "loopback address"),
            "metadata": ({"url": "http://169.254.169.254/"}, "metadata address"),
            "redirect": ({"url": url + to(302, other.url + "/")}, "does not allow port"),
            "file": ({"url": url + to(302, "file:///etc/passwd")}, "only http and https"),
            "gopher": ({"url": url + to(307, "gopher://127.0.0.1:%d/" % other.server_port)}, "only http and https"),
            "host-header": ({"url": url, "headers": [{"name": "Host", "value": "other.test"}]}, "Host header"),
        }
        rules = [self.rule(server), {"id": "names", "hosts": ["localhost", "169.254.169.254"], "schemes": ["http"], "ports": [80, server.server_port]}]
        run = self.run_http({node: template for node, (template, _) in cases.items()}, egress(rules))
        self.assertEqual(run.code, 1)
        nodes = run.nodes()
        for node, (_, reason) in cases.items():
            with self.subTest(node):
                self.assertEqual(nodes[node]["phase"], "Error")
                self.assertIn(reason, nodes[node]["message"])
                self.assertEqual(self.records_by_node()[node]["stoppedBy"], "policy")
        self.assertEqual(other.seen, [])
        without = self.run_http({"a": {"url": url}}, None)
        self.assertIn("no egress policy was given", without.nodes()["a"]["message"])

    def test_redirects_are_followed_as_gos_client_does(self):
        server = self.serve()
        other = self.serve()
        run = self.run_http({
            "post-302": {"url": server.url + to(302, "/echo"), "method": "POST", "body": "x", "headers": [{"name": "Content-Type", "value": "text/plain"}]},
            "post-307": {"url": server.url + to(307, "/echo"), "method": "POST", "body": "x"},
            "cookie": {"url": server.url + to(307, other.url + "/echo"), "headers": [{"name": "Authorization", "value": "Basic abc"}, {"name": "X-Other", "value": "kept"}]},
            "loop": {"url": server.url + "/loop"},
            "nowhere": {"url": server.url + "/status/302"},
        }, egress([self.rule(server, other)], limits={"redirects": 3}))
        nodes = run.nodes()
        self.assertEqual(json.loads(nodes["post-302"]["outputs"]["result"])["method"], "GET", str(run))
        self.assertNotIn("Content-Type", json.loads(nodes["post-302"]["outputs"]["result"])["headers"])
        kept = json.loads(nodes["post-307"]["outputs"]["result"])
        self.assertEqual((kept["method"], base64.b64decode(kept["body"])), ("POST", b"x"))
        crossed = json.loads(nodes["cookie"]["outputs"]["result"])["headers"]
        self.assertNotIn("Authorization", crossed)
        self.assertEqual(crossed["X-Other"], "kept")
        self.assertEqual((nodes["loop"]["phase"], nodes["loop"]["message"]), ("Failed", "request to 127.0.0.1:%d failed: stopped after 3 redirects" % server.server_port))
        self.assertEqual(nodes["nowhere"]["message"], "received non-2xx response code: 302")
        self.assertEqual(len(self.records_by_node()["cookie"]["requests"]), 2)

    def test_secrets_reach_the_server_and_nothing_else(self):
        server = self.serve()
        other = self.serve()
        header = {"name": "Authorization", "valueFrom": {"secretKeyRef": {"name": "api", "key": "header"}}}
        run = self.run_http({
            "echo": {"url": server.url + "/echo", "headers": [header]},
            "crossing": {"url": server.url + to(307, other.url + "/echo"), "headers": [dict(header, name="X-Key")]},
            "absent": {"url": server.url + "/echo", "headers": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "api", "key": "no"}}}]},
        }, egress([self.rule(server, other)]), plugins=json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "api"}, "stringData": {"header": SECRET}}))
        self.assertEqual(server.seen[0]["headers"].get("authorization") or server.seen[1]["headers"].get("authorization"), SECRET, str(run))
        echoed = run.nodes()["echo"]["outputs"]["result"]
        self.assertIn("REDACTED:api/header", echoed)
        self.assertNotIn("X-Key", run.nodes()["crossing"]["outputs"]["result"])
        self.assertEqual(run.nodes()["absent"]["phase"], "Error")
        self.assertIn("secret api/no is not there", run.nodes()["absent"]["message"])
        everything = run.out + run.err + self.audit.read_text()
        self.assertNotIn(SECRET.split()[1], everything)
        self.assertGreater(self.records_by_node()["echo"]["masked"], 0)

    def test_responses_are_bounded_and_harmless(self):
        server = self.serve()
        cases = {
            "large": ("Failed", "larger than 262144"),
            "endless": ("Failed", "larger than 262144"),
            "braces": ("Error", "holds {{"),
            "escape": ("Error", "control or bidirectional"),
            "binary": ("Error", "not valid UTF-8"),
            "smuggle": ("Failed", "both Transfer-Encoding and Content-Length"),
            "slow": ("Failed", "no complete response within 1s"),
        }
        run = self.run_http({node: {"url": server.url + "/" + node, "timeoutSeconds": 1 if node == "slow" else 60} for node in cases}, egress([self.rule(server)]))
        for node, (phase, reason) in cases.items():
            with self.subTest(node):
                result = run.nodes()[node]
                self.assertEqual(result["phase"], phase)
                self.assertIn(reason, result["message"])
                self.assertNotIn("outputs", result)
        self.audit.unlink()
        allowed = self.run_http({node: {"url": server.url + "/" + node} for node in ("braces", "escape")}, egress([self.rule(server, result={"braces": "allow", "charset": "any"})]))
        self.assertEqual(allowed.nodes()["braces"]["outputs"]["result"], "{{workflow.name}}", str(allowed))
        self.assertEqual(allowed.nodes()["escape"]["outputs"]["result"], "a\x1b[2Jb")

    def test_the_success_condition_decides(self):
        server = self.serve()
        cases = {
            # node: (path, condition, phase, message)
            "status": ("/status/404", "response.statusCode == 404", "Succeeded", None),
            "body": ("/hello", 'response.body contains "hell"', "Succeeded", None),
            "header": ("/hello", 'any(response.headers["Content-Length"], {# == "5"})', "Succeeded", None),
            "false": ("/hello", "response.statusCode == 201", "Failed", "successCondition 'response.statusCode == 201' evaluated false"),
            "request": ("/hello", 'request.method == "" and request.url endsWith "/hello"', "Succeeded", None),
            "json": ("/nested", "len(fromJSON(response.body).a.b) == 0", "Succeeded", None),
            "error": ("/hello", "fromJSON(response.body).a", "Failed", "successCondition: "),
        }
        tasks = {node: {"url": server.url + path, "successCondition": condition} for node, (path, condition, _, _) in cases.items()}
        tasks["secret"] = {"url": server.url + "/hello", "successCondition": 'request.headers["X-Key"][0] startsWith "Bearer"',
                           "headers": [{"name": "X-Key", "valueFrom": {"secretKeyRef": {"name": "api", "key": "header"}}}]}
        secret = json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "api"}, "stringData": {"header": SECRET}})
        run = self.run_http(tasks, egress([self.rule(server)]), plugins=secret)
        nodes = run.nodes()
        for node, (_, _, phase, message) in cases.items():
            with self.subTest(node):
                self.assertEqual(nodes[node]["phase"], phase, str(run))
                self.assertTrue(nodes[node].get("message", "").startswith(message or ""), nodes[node])
        self.assertEqual(nodes["secret"]["phase"], "Failed", "a condition must not tell what a secret is")
        self.assertEqual(nodes["false"]["outputs"]["result"], "hello")
        wrong = self.run_http({"a": {"url": server.url, "successCondition": "response.statuscode == 200"}}, egress([self.rule(server)]))
        self.assertEqual(wrong.code, 2)
        self.assertIn("http.successCondition: at byte", wrong.err)

    def certificate(self, name, address):
        key, cert = self.dir / (name + ".key"), self.dir / (name + ".pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=" + name,
                        "-addext", "subjectAltName=" + address, "-keyout", key, "-out", cert], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        return context, cert

    def test_https_trusts_the_systems_roots_and_no_others(self):
        context, cert = self.certificate("good", "IP:127.0.0.1")
        wrong_context, wrong = self.certificate("wrong", "DNS:other.test")
        good, other = self.serve(context), self.serve(wrong_context)
        bundle = self.write("roots.pem", cert.read_text() + wrong.read_text())
        tasks = {
            "good": {"url": good.url + "/"},
            "name": {"url": other.url + "/"},
            "insecure": {"url": other.url + "/", "insecureSkipVerify": True},
            "forbidden": {"url": good.url + "/", "insecureSkipVerify": True},
        }
        rules = [self.rule(good, schemes=["https"]), self.rule(other, id="lax", schemes=["https"], insecureSkipVerify=True)]
        run = self.run_http(tasks, egress(rules), env={"SSL_CERT_FILE": bundle})
        nodes = run.nodes()
        self.assertEqual(nodes["good"]["phase"], "Succeeded", str(run))
        self.assertIn("certificate", nodes["name"]["message"])
        self.assertEqual(nodes["name"]["phase"], "Failed")
        self.assertEqual(nodes["insecure"]["phase"], "Succeeded")
        self.assertIn("does not allow insecureSkipVerify", nodes["forbidden"]["message"])
        self.audit.unlink()
        unknown = self.run_http({"good": tasks["good"]}, egress(rules))
        self.assertIn("certificate", unknown.nodes()["good"]["message"])
        self.assertEqual(len(other.seen), 1)

    def test_a_proxy_is_used_only_where_a_rule_says_so(self):
        context, cert = self.certificate("good", "DNS:service.test")
        proxy, tunnelled = self.serve(), self.serve(context)
        bundle = self.write("roots.pem", cert.read_text())
        tasks = {"plain": {"url": "http://service.test/hello"}, "tunnel": {"url": "https://service.test:%d/hello" % tunnelled.server_port}}
        rule = {"id": "proxied", "hosts": ["service.test"], "schemes": ["http", "https"], "ports": [80, tunnelled.server_port]}
        env = {"HTTP_PROXY": "http://user:pa%20ss@" + proxy.url[7:], "HTTPS_PROXY": proxy.url, "SSL_CERT_FILE": bundle}
        refused = self.run_http(tasks, egress([rule]), env=env)
        for node in tasks:
            self.assertIn("does not allow a proxy", refused.nodes()[node]["message"])
        self.assertEqual(proxy.seen, [])
        self.audit.unlink()
        run = self.run_http(tasks, egress([dict(rule, viaProxy=True)]), env=env)
        self.assertEqual({n: r["phase"] for n, r in run.nodes().items()}, {"plain": "Succeeded", "tunnel": "Succeeded"}, str(run))
        plain = next(s for s in proxy.seen if s["method"] == "GET")
        self.assertEqual((plain["path"], plain["headers"]["host"]), ("http://service.test/hello", "service.test"))
        self.assertEqual(plain["headers"]["proxy-authorization"], "Basic " + base64.b64encode(b"user:pa ss").decode())
        self.assertIn("CONNECT", [s["method"] for s in proxy.seen])

    def test_a_wrong_template_or_policy_is_told_with_its_place(self):
        bad = self.run_http({"a": {"url": "http://user@example.com/", "headres": [], "method": "get"}}, egress([]))
        self.assertEqual(bad.code, 2)
        for part in ("user information", 'unknown field "headres" in http (did you mean "headers"?)', "capitals", "tasks.json:1:"):
            self.assertIn(part, bad.err)
        wrong = self.run_http({"a": {"url": "http://example.com/"}}, egress([{"id": "x", "hosts": ["*"], "shemes": ["http"]}]))
        self.assertEqual(wrong.code, 2)
        self.assertIn('did you mean "schemes"?', wrong.err)
        self.assertIn("would open every host", wrong.err)
        check = self.bulkhead("policy", "check", self.dir / "policy.yaml")
        self.assertEqual(check.code, 3)

    def test_http_and_plugin_tasks_run_beside_each_other(self):
        server = self.serve()
        tasks = {
            "apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTaskSet", "metadata": {"name": "wf", "namespace": "ns"},
            "spec": {"tasks": {"p": {"name": "t-p", "plugin": {"one": {}}}, "h": {"name": "t-h", "http": {"url": server.url}}}},
        }
        run = self.run_tasks(tasks, [plugin("one", OK_ANSWER, 4461)], policies=policy("one") + "---\n" + egress([self.rule(server)]))
        self.assertEqual({n: r["phase"] for n, r in run.nodes().items()}, {"p": "Succeeded", "h": "Succeeded"}, str(run))

    def test_an_interrupted_run_does_not_wait_for_a_server(self):
        server = self.serve()
        run = self.run_http({"a": {"url": server.url + "/slow"}}, egress([self.rule(server)]), "--timeout", "1s")
        self.assertEqual(run.nodes()["a"]["phase"], "Error")
        self.assertIn("--timeout 1s", run.nodes()["a"]["message"])


if __name__ == "__main__":
    unittest.main()
