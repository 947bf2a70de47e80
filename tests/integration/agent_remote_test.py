"""Plugins that run elsewhere, called by `bulkhead agent main` over mutual TLS with certificates as cert-manager makes them."""

import http.server
import json
import os
import ssl
import subprocess
import threading

from bulkhead_case import policy
from kube_case import TASKSETS, KubeCase, taskset, template

AGENT = "spiffe://bulkhead.local/ns/argo/agent"
PLUGIN = "spiffe://bulkhead.local/ns/argo/plugin/far"


class Authority:
    def __init__(self, folder, name):
        self.folder = folder / name
        self.folder.mkdir()
        self.run("req", "-x509", *self.KEY, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=" + name,
                 "-addext", "basicConstraints=critical,CA:TRUE")
        self.certificate = (self.folder / "ca.crt").read_text()

    KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")

    def run(self, *args):
        subprocess.run(["openssl", *args], cwd=self.folder, check=True, capture_output=True)

    def issue(self, names, usage):
        """(certificate, key) with the subject alternative names given; no subject, as cert-manager's have none."""
        (self.folder / "ext").write_text("subjectAltName=critical,%s\nextendedKeyUsage=%s\nkeyUsage=critical,digitalSignature\n" % (names, usage))
        self.run("req", *self.KEY, "-keyout", "leaf.key", "-out", "leaf.csr", "-subj", "/")
        self.run("x509", "-req", "-in", "leaf.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", "leaf.crt",
                 "-days", "1", "-extfile", "ext")
        return (self.folder / "leaf.crt").read_text(), (self.folder / "leaf.key").read_text()


class SecretVolume:
    """A Secret's files as kubelet mounts them: all of them change at once, by a link."""

    def __init__(self, folder):
        self.folder, self.version = folder, 0
        folder.mkdir()

    def put(self, certificate, key, authorities):
        self.version += 1
        data = self.folder / ("..%d" % self.version)
        data.mkdir()
        for name, text in (("tls.crt", certificate), ("tls.key", key), ("ca.crt", authorities)):
            (data / name).write_text(text)
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to("..data/" + name)
        (self.folder / "..new").symlink_to(data.name)
        os.replace(self.folder / "..new", self.folder / "..data")


class RemotePlugin:
    """Asks each client for its certificate; remembers who called."""

    def __init__(self, case, answer=None):
        self.case = case
        self.answer = answer or {"node": {"phase": "Succeeded", "message": "from afar"}}
        self.callers = []  # (URI, serial number, Authorization)
        self.context = None
        self.keeps = False  # its connections
        self.open = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = property(lambda self: "HTTP/1.1" if outer.keeps else "HTTP/1.0")

            def log_message(self, *args):
                pass

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                peer = self.connection.getpeercert()
                outer.callers.append((dict(peer["subjectAltName"])["URI"], peer["serialNumber"], self.headers.get("Authorization")))
                body = json.dumps(outer.answer).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def finish_request(self, request, address):
                try:
                    with outer.context.wrap_socket(request, server_side=True) as stream:
                        outer.open += 1
                        Handler(stream, address, self)
                        stream.unwrap()
                except (OSError, ssl.SSLError):
                    pass
                finally:
                    outer.open = max(0, outer.open - 1)

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        case.addCleanup(self.server.server_close)
        case.addCleanup(self.server.shutdown)

    def use(self, certificate, key, authorities):
        """For every connection from now on."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(self.case.write("plugin.crt", certificate), self.case.write("plugin.key", key))
        context.load_verify_locations(cadata=authorities)
        self.context = context


class AgentRemote(KubeCase):
    def setUp(self):
        super().setUp()
        self.policy_file = self.write("policy.yaml", policy("far"))
        self.first = Authority(self.dir, "first")
        self.files = SecretVolume(self.dir / "tls")
        self.files.put(*self.first.issue("URI:" + AGENT, "clientAuth"), self.first.certificate)
        self.plugin = RemotePlugin(self)
        # cert-manager's have names of the service beside the URI.
        self.plugin.use(*self.first.issue("URI:%s,DNS:far.argo.svc" % PLUGIN, "serverAuth"), self.first.certificate)

    def tasks(self, *nodes):
        tasks = {n: dict(template(n), plugin={"far": {}}) for n in nodes}
        if self.api.get(*TASKSETS, "wf"):
            return self.api.change(*TASKSETS, "wf", {"spec": {"tasks": tasks}})
        document = taskset({})
        document["spec"]["tasks"] = tasks
        self.api.put(*TASKSETS, document)

    def remote(self, *args, uri="", **kwargs):
        address = "far=https://127.0.0.1:%d%s" % (self.plugin.port, uri and "," + uri)
        tls = [x for flag, name in (("cert", "tls.crt"), ("key", "tls.key"), ("ca", "ca.crt")) for x in ("--tls-" + flag, self.dir / "tls" / name)]
        return self.agent("--remote-plugin", address, *tls, "--metrics-listen", "127.0.0.1:0", *args, **kwargs)

    def test_a_plugin_elsewhere_is_called_by_who_it_is_and_certificates_are_renewed_under_way(self):
        self.tasks("a")
        agent = self.remote()
        expected = {"a": "Succeeded"}
        self.wait_phases(agent, expected)
        self.assertEqual(self.api.nodes()["a"]["message"], "from afar")
        self.assertEqual([(uri, token) for uri, _, token in self.plugin.callers], [(AGENT, None)])
        self.assertEqual([r["tier"] for r in self.records("plugin.start")], ["remote"])

        def call(node):
            self.tasks(node)
            expected[node] = "Succeeded"
            self.wait_phases(agent, expected)
            return self.plugin.callers[-1][1]
        before = self.plugin.callers[-1][1]
        # The authority is replaced: both are trusted, then the leaves change, then the first goes.
        second = Authority(self.dir, "second")
        both = self.first.certificate + second.certificate
        self.plugin.use(*self.first.issue("URI:" + PLUGIN, "serverAuth"), both)
        self.files.put(*self.first.issue("URI:" + AGENT, "clientAuth"), both)
        middle = call("b")
        self.assertNotEqual(middle, before)
        self.files.put(*second.issue("URI:" + AGENT, "clientAuth"), both)
        self.plugin.use(*second.issue("URI:" + PLUGIN, "serverAuth"), second.certificate)
        after = call("c")
        self.assertNotIn(after, (before, middle))
        # A key that is not the certificate's: those before stay in force, and it is told.
        certificate, _ = second.issue("URI:" + AGENT, "clientAuth")
        self.files.put(certificate, second.issue("URI:" + AGENT, "clientAuth")[1], second.certificate)
        self.assertEqual(call("d"), after)
        (told,) = agent.ready()[1]["plugins"]
        self.assertTrue(told["ready"])
        self.assertIn("new certificates are not in force", told["reason"])
        self.files.put(*second.issue("URI:" + AGENT, "clientAuth"), second.certificate)
        self.assertNotEqual(call("e"), after)
        self.assertNotIn("reason", agent.ready()[1]["plugins"][0])
        self.assertEqual(agent.terminate(), 0, agent.text())
        self.assertEqual(len(self.plugin.callers), 5)
        self.assert_verifies()

    def test_who_is_not_the_plugin_gets_no_byte_of_a_request(self):
        other = Authority(self.dir, "other")
        cases = (
            ("another name", self.first.issue("URI:spiffe://bulkhead.local/ns/argo/plugin/near,DNS:localhost", "serverAuth"), self.first.certificate),
            ("two names", self.first.issue("URI:%s,URI:%s" % (PLUGIN, AGENT), "serverAuth"), self.first.certificate),
            ("no URI", self.first.issue("DNS:localhost,IP:127.0.0.1", "serverAuth"), self.first.certificate),
            ("a client's certificate", self.first.issue("URI:" + PLUGIN, "clientAuth"), self.first.certificate),
            ("another authority", other.issue("URI:" + PLUGIN, "serverAuth"), self.first.certificate),
        )
        agent = self.remote()
        expected = {}
        for number, (name, identity, authorities) in enumerate(cases):
            with self.subTest(name):
                self.plugin.use(*identity, authorities)
                node = "n%d" % number
                expected[node] = "Failed"
                self.tasks(node)
                self.wait_phases(agent, expected)
                self.assertIn("TLS", self.api.nodes()[node]["message"])
                self.assertEqual(self.plugin.callers, [])

    def test_a_kept_connection_does_not_outlive_the_trust_that_it_was_made_with(self):
        self.plugin.keeps = True
        self.tasks("a")
        agent = self.remote()
        self.wait_phases(agent, {"a": "Succeeded"})
        self.assertEqual(self.plugin.open, 1, "it was not kept, so this shows nothing")
        self.files.put(*self.first.issue("URI:" + AGENT, "clientAuth"), Authority(self.dir, "other").certificate)
        self.wait_for(lambda: self.plugin.open == 0, agent, 30)
        self.tasks("b")
        self.wait_phases(agent, {"a": "Succeeded", "b": "Failed"})
        self.assertEqual(len(self.plugin.callers), 1)
        agent.terminate()

    def test_an_identity_may_be_named_and_the_policy_judges_all_the_same(self):
        self.plugin.answer = {"node": {"phase": "Succeeded", "outputs": {"exitCode": "0"}}}
        self.plugin.use(*self.first.issue("URI:spiffe://example.org/far", "serverAuth"), self.first.certificate)
        self.tasks("a")
        agent = self.remote(uri="spiffe://example.org/far")
        self.wait_phases(agent, {"a": "Error"})
        self.assertIn("refused by policy", self.api.nodes()["a"]["message"])
        self.assertEqual(len(self.plugin.callers), 1)

    def test_what_is_wrong_with_the_settings_is_said(self):
        files = {"--tls-cert": "tls.crt", "--tls-key": "tls.key", "--tls-ca": "ca.crt"}
        for text, change, sentence in (
                ("far=http://127.0.0.1:1", {}, "must be https://HOST:PORT"),
                ("far=https://127.0.0.1:1/path", {}, "and nothing more"),
                ("far", {}, "write NAME=https://HOST:PORT"),
                ("far=https://127.0.0.1:1,far", {}, "must begin with spiffe://"),
                ("far=https://127.0.0.1:1", {"--tls-ca": None}, "needs --tls-cert, --tls-key and --tls-ca"),
                ("far=https://127.0.0.1:1", {"--tls-key": "ca.crt"}, "cannot be read as PEM")):
            with self.subTest(sentence):
                chosen = {**files, **change}
                tls = [x for flag, name in chosen.items() if name for x in (flag, self.dir / "tls" / name)]
                run = self.bulkhead("agent", "main", "--kubeconfig", self.kubeconfig, "--workflow", "wf", "--journal", self.dir / "j",
                                    "--audit", self.dir / "a", "--remote-plugin", text, *tls)
                self.assertEqual(run.code, 2, str(run))
                self.assertIn(sentence, run.err)
