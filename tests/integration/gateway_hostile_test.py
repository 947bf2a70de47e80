"""Strangers and broken clients before the gateway: each costs little, learns nothing, and harms nobody else."""

import json
import os
import resource
import socket
import threading
import time
import unittest

from bulkhead_case import BulkheadCase, OK_ANSWER, plugin
from gateway_case import Gateway, TOKEN, execute_request

BODY = json.dumps(execute_request("good", {})).encode()
HEAD = b"POST /api/v1/template.execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
AUTHORISED = HEAD + b"Authorization: Bearer " + TOKEN.encode() + b"\r\n"
WHOLE = AUTHORISED + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY


def status(reply):
    return int(reply.split(b" ", 2)[1]) if reply.startswith(b"HTTP/1.") else None


class Strangers(BulkheadCase):
    def setUp(self):
        super().setUp()
        self.gateway = Gateway(self, [plugin("good", OK_ANSWER, 14355)])

    def assert_serves(self):
        self.assertEqual(self.gateway.execute("good", {})["node"]["phase"], "Succeeded")

    def test_who_has_no_token_is_refused_and_told_nothing(self):
        bodies = set()
        for token, expected in ((None, 401), ("wrong", 403), (TOKEN[:-1], 403), (TOKEN + "x", 403), (TOKEN.lower(), 403)):
            for method in ("template.execute", "no.such", "parameters.add"):
                with self.subTest(token=token, method=method):
                    code, text = self.gateway.call(method, execute_request("good", {}), token=token)
                    self.assertEqual(code, expected)
                    bodies.add(text)
                    self.assertNotIn("good", text)
        self.assertEqual(len(bodies), 2, bodies)
        for header in ("Basic " + TOKEN, TOKEN, "bearer " + TOKEN, "Bearer  " + TOKEN):
            self.assertIn(self.gateway.call("template.execute", {}, token=None, headers={"Authorization": header})[0], (401, 403), header)
        self.assert_serves()
        self.gateway.wait_for(lambda: sum(r["count"] for r in self.records("caller.refused")) >= 19, "the refusals are recorded")
        self.assertEqual({r["reason"] for r in self.records("caller.refused")}, {"no-token", "wrong-token"})
        self.assertEqual([r["plugin"] for r in self.records("call")], ["good"], "the plugin was asked once, by the one who may")

    def test_a_body_is_not_read_of_who_may_not_ask(self):
        with socket.create_connection(("127.0.0.1", self.gateway.port), timeout=10) as s:
            s.sendall(HEAD + b"Content-Length: 8000000\r\n\r\n")
            self.assertEqual(status(s.recv(65536)), 401)

    def test_what_two_readers_could_see_differently_is_refused(self):
        smuggled = b"POST /api/v1/parameters.add HTTP/1.1\r\nHost: x\r\n\r\n"
        for name, request in {
            "both framings": AUTHORISED + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + smuggled,
            "both framings, the other way": AUTHORISED + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled,
            "two lengths": AUTHORISED + b"Content-Length: 0\r\nContent-Length: 51\r\n\r\n" + smuggled,
            "a list of lengths": AUTHORISED + b"Content-Length: 0, 51\r\n\r\n" + smuggled,
            "a signed length": AUTHORISED + b"Content-Length: +51\r\n\r\n" + smuggled,
            "a coding hidden by a space": AUTHORISED + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + smuggled,
            "a folded coding": AUTHORISED + b"X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled,
            "bare line feeds": AUTHORISED.replace(b"\r\n", b"\n") + b"Content-Length: 0\n\n",
            "two tokens": AUTHORISED + b"Authorization: Bearer x\r\nContent-Length: 0\r\n\r\n",
            "an absolute target": WHOLE.replace(b"/api", b"http://localhost/api", 1),
            "a target with an escape": WHOLE.replace(b"template.execute", b"template%2Eexecute", 1),
            "two hosts": AUTHORISED + b"Host: other\r\nContent-Length: 0\r\n\r\n",
            "nul": AUTHORISED + b"X: a\x00b\r\nContent-Length: 0\r\n\r\n",
        }.items():
            with self.subTest(name):
                reply = self.gateway.raw(request)
                self.assertEqual(status(reply), 400, reply)
                self.assertEqual(reply.count(b"HTTP/1."), 1, "one answer, and the connection is closed")
        reply = self.gateway.raw(AUTHORISED + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled)
        self.assertEqual((status(reply), reply.count(b"HTTP/1.")), (411, 1), reply)
        self.assert_serves()

    def most_memory(self):
        with open("/proc/%d/status" % self.gateway.process.pid) as f:
            return int(next(line for line in f if line.startswith("VmHWM")).split()[1])

    def test_too_much_is_refused_at_once(self):
        before = self.most_memory()
        for request, expected in ((b"POST /api/v1/template.execute HTTP/1.1\r\nX: " + b"y" * 100000, 431),
                                  (b"POST /" + b"x" * 1000 + b" HTTP/1.1\r\n\r\n", 414),
                                  (AUTHORISED + b"".join(b"X-%d: y\r\n" % i for i in range(100)) + b"\r\n", 431),
                                  (AUTHORISED + b"Content-Length: 1073741824\r\n\r\n" + b"x" * 65536, 413),
                                  (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 no HTTP at all\r\n\r\n", 400)):
            with self.subTest(request[:50]):
                self.assertEqual(status(self.gateway.raw(request)), expected)
        # A gigabyte that is sent all the same: the connection goes, nothing is kept.
        with socket.create_connection(("127.0.0.1", self.gateway.port), timeout=20) as s:
            s.sendall(AUTHORISED + b"Content-Length: 1073741824\r\n\r\n")
            with self.assertRaises(OSError):
                for _ in range(16384):
                    s.sendall(b"x" * 65536)
        self.assertLess(self.most_memory() - before, 32 << 10, "kB more than before")
        self.assert_serves()

    def test_hostile_documents_are_refused_with_a_reason(self):
        for body, reason in ((b"", "no JSON"), (b"[]", "mapping"), (b"{}", "workflow"), (b'{"workflow":{}}', "metadata"), (b"[" * 100000, "no JSON"),
                             (b'{"workflow":{"metadata":{"name":"a"}},"workflow":{"metadata":{"name":"b"}}}', "no JSON"),
                             (b'{"workflow":{"metadata":{"name":"a"}}}', "template"), (b'{"workflow":{"metadata":{"name":"\xff"}}}', "no JSON"),
                             (BODY + b"x", "no JSON")):
            with self.subTest(body[:60]):
                code, text = self.gateway.call("template.execute", body)
                self.assertEqual(code, 400)
                self.assertIn(reason, text)
        self.assertEqual(self.records("call"), [])

    def test_other_verbs_types_and_paths(self):
        connection = self.gateway.connection()
        for verb, path, kind, expected in (("GET", "/api/v1/template.execute", "application/json", 405), ("PUT", "/api/v1/template.execute", "application/json", 405),
                                           ("POST", "/api/v1/template.execute", "text/plain", 415), ("POST", "/api/v1/template.execute", "application/x-www-form-urlencoded", 415),
                                           ("POST", "/", "application/json", 404), ("POST", "/api/v1/", "application/json", 404), ("POST", "/api/v1/Template.Execute", "application/json", 404),
                                           ("POST", "/api/v2/template.execute", "application/json", 404), ("GET", "/metrics", "application/json", 404)):
            with self.subTest(verb=verb, path=path, kind=kind):
                connection.request(verb, path, headers={"Content-Type": kind, "Authorization": "Bearer " + TOKEN, "Content-Length": "0"})
                response = connection.getresponse()
                response.read()
                self.assertEqual(response.status, expected)
        connection.close()

    def test_keep_alive_pipelining_half_closing_and_http_1_0(self):
        connection = self.gateway.connection()
        for _ in range(20):
            self.assertEqual(self.gateway.call("template.execute", BODY, connection=connection)[0], 200)
        connection.close()
        self.assertEqual(self.gateway.metric("bulkhead_http_connections_total", 'server="rpc"'), 1)
        # Five at once, the last byte of each with the first of the next: five answers, in order.
        reply = self.gateway.raw(WHOLE * 4 + WHOLE.replace(b"Host", b"Connection: close\r\nHost"))
        self.assertEqual(reply.count(b"HTTP/1.1 200 OK\r\n"), 5, reply)
        # One byte at a time.
        self.assertEqual(status(self.gateway.raw(*[bytes([b]) for b in WHOLE.replace(b"Host", b"Connection: close\r\nHost")])), 200)
        # The client has nothing more to say, but listens.
        reply = self.gateway.raw(WHOLE, shutdown=True)
        self.assertEqual((status(reply), b'"phase":"Succeeded"' in reply), (200, True), reply)
        # HTTP/1.0 closes, unless asked not to.
        old = WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0")
        self.assertTrue(self.gateway.raw(old).startswith(b"HTTP/1.0 200 OK\r\n"))
        kept = self.gateway.raw(old.replace(b"Host", b"Connection: keep-alive\r\nHost") + old)
        self.assertEqual(kept.count(b"HTTP/1.0 200 OK\r\n"), 2, kept)
        # A big body after a question whether it may be sent.
        reply = self.gateway.raw(AUTHORISED + b"Connection: close\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY), b"", BODY)
        self.assertIn(b"200 OK", reply)

    def test_a_client_that_goes_in_the_middle_leaves_nothing_behind(self):
        before = len(os.listdir("/proc/%d/fd" % self.gateway.process.pid))
        for cut in (1, 30, len(AUTHORISED), len(WHOLE) - 5, len(WHOLE)):
            with socket.create_connection(("127.0.0.1", self.gateway.port)) as s:
                s.sendall(WHOLE[:cut])
                # A reset rather than an end.
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.assert_serves()
        self.gateway.wait_for(lambda: len(os.listdir("/proc/%d/fd" % self.gateway.process.pid)) <= before + 2, "descriptors are closed")


class Floods(BulkheadCase):
    def test_slow_clients_are_ended_and_hold_up_nobody(self):
        gateway = Gateway(self, [plugin("good", OK_ANSWER, 14355)])
        slow = []
        for i in range(40):
            s = socket.create_connection(("127.0.0.1", gateway.port), timeout=30)
            s.sendall(AUTHORISED[:20] if i % 2 else AUTHORISED + b"Content-Length: 100\r\n\r\n{")
            slow.append(s)
        begin = time.monotonic()
        stop = threading.Event()

        def drip():
            while not stop.wait(0.2):
                for s in slow:
                    try:
                        s.sendall(b"x")
                    except OSError:
                        pass

        dripper = threading.Thread(target=drip)
        dripper.start()
        try:
            self.assertEqual(gateway.execute("good", {})["node"]["phase"], "Succeeded")
            self.assertLess(time.monotonic() - begin, 3)
            # A byte now and then renews no deadline: an unfinished head has 5 s.
            replies = [s.recv(65536) for s in slow[1::2]]
            self.assertLess(time.monotonic() - begin, 12)
            self.assertEqual({status(r) for r in replies}, {408})
        finally:
            stop.set()
            dripper.join()
            for s in slow:
                s.close()

    def test_a_flood_of_connections_is_bounded_and_a_caller_still_gets_through(self):
        gateway = Gateway(self, [plugin("good", OK_ANSWER, 14355)])
        idle = []
        try:
            for _ in range(700):
                idle.append(socket.create_connection(("127.0.0.1", gateway.port), timeout=10))
            for i in range(5):
                self.assertEqual(gateway.execute("good", {"i": i})["node"]["phase"], "Succeeded")
            self.assertLess(len(os.listdir("/proc/%d/fd" % gateway.process.pid)), 400)
            self.assertGreater(gateway.metric("bulkhead_http_refused_total", 'server="rpc",reason="too-many-connections"'), 300)
        finally:
            for s in idle:
                s.close()

    def test_out_of_descriptors_is_survived(self):
        gateway = Gateway(self, [plugin("good", OK_ANSWER, 14355)])
        have = len(os.listdir("/proc/%d/fd" % gateway.process.pid))
        resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE, (have + 20, have + 20))
        idle = [socket.create_connection(("127.0.0.1", gateway.port), timeout=10) for _ in range(60)]
        for s in idle:
            s.close()
        gateway.wait_for(lambda: len(os.listdir("/proc/%d/fd" % gateway.process.pid)) < have + 10, "the flood is over")
        self.assertEqual(gateway.execute("good", {})["node"]["phase"], "Succeeded")


if __name__ == "__main__":
    unittest.main()
