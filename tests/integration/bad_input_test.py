"""Hostile replies, hostile processes, wrong files: a clear reason each, and the other tasks unharmed."""

import os
import re
import socket
import unittest

from bulkhead_case import BulkheadCase, OK_ANSWER, plugin, policy, taskset

HOSTILE = r"""
HEAD = b'HTTP/1.1 200 OK\r\n'
def fixed(body): return HEAD + b'Content-Length: %d\r\n\r\n' % len(body) + body
GOOD = b'{"node":{"phase":"Succeeded"}}'
def answer(h, act, args):
    act = act['act']
    if act == 'truncated': return h.raw(HEAD + b'Content-Length: 100\r\n\r\n' + GOOD)
    if act == 'gigabyte':
        h.wfile.write(HEAD + b'Content-Length: 1073741824\r\n\r\n')
        for _ in range(16384): h.wfile.write(b'x' * 65536)
    if act == 'endless':
        h.wfile.write(HEAD + b'Transfer-Encoding: chunked\r\n\r\n')
        while True: h.wfile.write(b'10000\r\n' + b'x' * 65536 + b'\r\n')
    if act == 'deep': return h.raw(fixed(b'{"node":' + b'[' * 10000 + b']' * 10000 + b'}'))
    if act == 'duplicate': return h.raw(fixed(b'{"node":{"phase":"Failed","phase":"Succeeded"}}'))
    if act == 'utf8': return h.raw(fixed(b'{"node":{"phase":"Succeeded","message":"\xff\xfe"}}'))
    if act == 'type': return h.raw(fixed(b'{"node":{"phase":"Succeeded","message":7}}'))
    if act == 'case': return h.raw(fixed(b'{"node":{"Phase":"Succeeded"}}'))
    if act == 'fold': return h.raw(fixed('{"node":{"pha\u017fe":"Succeeded"}}'.encode()))
    if act == 'trailing': return h.raw(fixed(GOOD + b' x'))
    if act == 'html': return h.raw(fixed(b'<html></html>'))
    if act == 'lengths': return h.raw(HEAD + b'Content-Length: 30\r\nContent-Length: 31\r\n\r\n' + GOOD)
    if act == 'smuggle': return h.raw(HEAD + b'Content-Length: 30\r\nTransfer-Encoding: chunked\r\n\r\n' + GOOD)
    if act == 'garbage': return h.raw(b'\x16\x03\x01' + b'no http here' * 10)
    if act == 'headers': return h.raw(HEAD + b'X: ' + b'y' * 200000 + b'\r\n\r\n')
    if act == 'error': return h.reply(b'boom \x1b[31m', 500)
    if act == 'forbidden': return h.reply(b'no', 403)
    if act == 'ansi': return h.reply({'node': {'phase': 'Succeeded', 'message': 'a\x1b[2Jb'}})
    if act == 'template': return h.reply({'node': {'phase': 'Succeeded', 'message': '{{workflow.name}}'}})
    if act == 'global': return h.reply({'node': {'phase': 'Succeeded', 'outputs': {'parameters': [{'name': 'x', 'value': '1', 'globalName': 'y'}]}}})
    if act == 'unknown-phase': return h.reply({'node': {'phase': 'Done'}})
    if act == 'skipped': return h.reply({'node': {'phase': 'Skipped'}})
    h.reply({'node': {'phase': 'Succeeded', 'message': 'ok'}})
"""

# act -> what its message must say
REPLIES = {
    "gigabyte": "larger than",
    "endless": "larger than",
    "deep": "decode.too-deep",
    "duplicate": "decode.duplicate-key",
    "utf8": "decode.invalid-utf8",
    "type": "decode.wrong-type",
    "case": "decode.wrong-case",
    "fold": "decode.wrong-case",
    "trailing": "decode.trailing-data",
    "html": "decode.syntax",
    "lengths": "Content-Length",
    "smuggle": "Transfer-Encoding",
    "garbage": "HTTP",
    "headers": "header",
    "error": "500",
    "forbidden": "403",
    "ansi": "refused by policy",
    "template": "refused by policy",
    "global": "globalName",
    "unknown-phase": "node.phase",
    "skipped": "node.phase",
}


class HostileReplies(BulkheadCase):
    def test_each_reply_is_refused_with_its_reason_and_the_others_go_on(self):
        tasks = {act: ("hostile", {"act": act}) for act in REPLIES}
        tasks.update({"good-%d" % i: ("good", {}) for i in range(8)})
        tasks["hostile-but-good"] = ("hostile", {"act": "ok"})
        run = self.run_tasks(tasks, [plugin("hostile", HOSTILE, 14355), plugin("good", OK_ANSWER, 14356)])
        self.assertEqual(run.code, 1, str(run))
        nodes = run.nodes()
        for act, reason in REPLIES.items():
            with self.subTest(act=act):
                self.assertIn(nodes[act]["phase"], ("Error", "Failed"), nodes[act])
                self.assertIn(reason, nodes[act]["message"])
                self.assertNotIn("\x1b", nodes[act]["message"])
        for node in tasks:
            if node.startswith("good") or node == "hostile-but-good":
                self.assertEqual(nodes[node]["phase"], "Succeeded", nodes[node])
        self.assert_verifies()
        recorded = {r["node"]: r for r in self.records("call")}
        for act in REPLIES:
            self.assertFalse(recorded[act]["applied"])
            self.assertTrue(recorded[act]["reason"])
        self.assertNotIn("\x1b", run.err)

    def test_a_reply_cut_short_is_retried_then_fails(self):
        run = self.run_tasks({"cut": ("hostile", {"act": "truncated"}), "good": ("good", {})},
                             [plugin("hostile", HOSTILE, 14355), plugin("good", OK_ANSWER, 14356)])
        self.assertEqual(run.nodes()["cut"]["phase"], "Failed", str(run))
        self.assertEqual(run.nodes()["good"]["phase"], "Succeeded")
        (call,) = [r for r in self.records("call") if r["node"] == "cut"]
        self.assertEqual(call["attempts"], 5)
        self.assertEqual(call["outcome"], "transient")


class HostileProcesses(BulkheadCase):
    def check(self, source, expected, *args, tier="strict", **container):
        bad = plugin("bad", None, 14355, source=source, **container)
        run = self.run_tasks({"bad": ("bad", {}), "good": ("good", {})}, [bad, plugin("good", OK_ANSWER, 14356)],
                             "--tier", tier, *args)
        self.assertEqual(run.code, 1, str(run))
        self.assertNotEqual(run.nodes()["bad"]["phase"], "Succeeded")
        self.assertRegex(run.nodes()["bad"]["message"], expected)
        self.assertEqual(run.nodes()["good"]["phase"], "Succeeded", str(run))
        self.assert_verifies()
        return run

    def test_exits_at_once(self):
        self.check("import sys; print('no config', file=sys.stderr); sys.exit(3)", r"(?s)exit.*3.*no config")

    def test_does_not_exist(self):
        run = self.run_tasks({"bad": ("bad", {})}, [plugin("bad", None, 14355, source="", command=["/opt/no-such-program"])])
        self.assertEqual(run.code, 2, str(run))
        self.assertRegex(run.err, r"bad\.json:1:1: plugin \"bad\": command /opt/no-such-program is not a program on this host; .*--rootfs bad=DIR")
        self.assertFalse(self.audit.exists())

    def test_cannot_be_executed(self):
        # A program by its mode, but of no format that the kernel knows: found out only by exec.
        program = "/opt/bulkhead-no-format-%d" % os.getpid()
        with open(program, "wb") as f:
            f.write(b"\x00\x01\x02\x03 no program")
        self.addCleanup(os.unlink, program)
        os.chmod(program, 0o755)
        self.check("", r"(?i)exec format error", command=[program])

    def test_never_listens(self):
        self.check("import time\nwhile True: time.sleep(1)", "listen", "--plugin-start-timeout", "2s")

    def test_hangs_in_a_call(self):
        source = "import socket, time\ns = socket.create_server(('', 14355))\nwhile True: c = s.accept(); time.sleep(1000)"
        self.check(source, "--timeout 4s", "--timeout", "4s")

    def test_sends_a_byte_a_second(self):
        source = """
import socket, threading, time
def drip(c):
    try:
        c.recv(65536)
        for b in b'HTTP/1.1 200 OK\\r\\nContent-Length: 100\\r\\n\\r\\n' + b' ' * 100:
            c.send(bytes([b])); time.sleep(1)
    except OSError: pass
s = socket.create_server(('', 14355), backlog=64)
while True: threading.Thread(target=drip, args=(s.accept()[0],), daemon=True).start()
"""
        self.check(source, "--timeout 4s", "--timeout", "4s")

    def test_floods_standard_output(self):
        source = """
import os, threading
def flood():
    while True: os.write(1, b'x' * 65536)
threading.Thread(target=flood, daemon=True).start()
import socket
s = socket.create_server(('', 14355))
while True:
    c = s.accept()[0]; c.recv(65536); c.sendall(b'HTTP/1.1 500 No\\r\\nContent-Length: 0\\r\\n\\r\\n'); c.close()
"""
        run = self.check(source, "500")
        self.assertLess(len(run.err), 1 << 20)

    def test_exits_in_a_call(self):
        answer = "def answer(h, act, args):\n    os._exit(9)\n"
        run = self.run_tasks({"bad": ("bad", {}), "good": ("good", {})},
                             [plugin("bad", answer, 14355), plugin("good", OK_ANSWER, 14356)])
        self.assertRegex(run.nodes()["bad"]["message"], r"ended during the call.*9")
        self.assertEqual(run.nodes()["good"]["phase"], "Succeeded")

    def test_a_forbidden_call_kills_only_its_own_task(self):
        answer = """
import ctypes
def answer(h, act, args):
    if act.get('evil'): ctypes.CDLL(None).ptrace(16, 1, 0, 0)
    h.reply({'node': {'phase': 'Succeeded', 'message': 'ok'}})
"""
        for tier in ("strict", "restricted"):
            with self.subTest(tier=tier):
                tasks = {"n%d" % i: ("p", {"evil": i == 5}) for i in range(10)}
                run = self.run_tasks(tasks, [plugin("p", answer, 14355)], "--tier", tier)
                for node, result in run.nodes().items():
                    if node == "n5":
                        self.assertEqual(result["phase"], "Failed", str(run))
                        self.assertIn("ptrace", result["message"])
                    else:
                        self.assertEqual(result["phase"], "Succeeded", str(run))
                self.assertTrue(any(r.get("syscall") == "ptrace" for r in self.records("plugin.exit")))

    def test_eats_memory(self):
        answer = "def answer(h, act, args):\n    x = []\n    while True: x.append(bytearray(1 << 20))\n"
        run = self.run_tasks({"bad": ("bad", {}), "good": ("good", {})},
                             [plugin("bad", answer, 14355), plugin("good", OK_ANSWER, 14356)], "--timeout", "60s")
        self.assertNotEqual(run.nodes()["bad"]["phase"], "Succeeded", str(run))
        self.assertEqual(run.nodes()["good"]["phase"], "Succeeded", str(run))

    def test_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            bad = plugin("bad", OK_ANSWER, port)
            run = self.run_tasks({"bad": ("bad", {}), "good": ("good", {})}, [bad, plugin("good", OK_ANSWER, 14356)],
                                 "--tier", "restricted")
        self.assertNotEqual(run.nodes()["bad"]["phase"], "Succeeded", str(run))
        self.assertRegex(run.nodes()["bad"]["message"], "(?i)address already in use|in use")
        self.assertEqual(run.nodes()["good"]["phase"], "Succeeded", str(run))


class WrongFiles(BulkheadCase):
    def refused(self, expected, tasks=None, plugins=None, policies=None, args=()):
        plugins = [plugin("hello", OK_ANSWER, 14355)] if plugins is None else plugins
        run = self.run_tasks(tasks or {"a": ("hello", {})}, plugins, *args, policies=policies)
        self.assertEqual(run.code, 2, str(run))
        self.assertRegex(run.err, expected)
        self.assertEqual(run.out, "")
        self.assertFalse(self.audit.exists(), "nothing was started")

    def test_a_manifest_without_ports(self):
        self.refused(r"plugins/hello\.json:1:\d+: container needs \"ports\"", plugins=[plugin("hello", OK_ANSWER, 14355, ports=None)])

    def test_two_plugins_on_one_port(self):
        self.refused(r"port 14355 is also asked for", plugins=[plugin("aa", OK_ANSWER, 14355), plugin("bb", OK_ANSWER, 14355)])

    def test_privileges_are_refused(self):
        for context, reason in (({"privileged": True}, "privileged"), ({"capabilities": {"add": ["SYS_ADMIN"]}}, "capabilities.add"),
                                ({"allowPrivilegeEscalation": True}, "allowPrivilegeEscalation"),
                                ({"seccompProfile": {"type": "Unconfined"}}, "seccompProfile")):
            with self.subTest(context=context):
                self.refused(reason, plugins=[plugin("hello", OK_ANSWER, 14355, securityContext=context)])

    def test_an_unknown_field_has_a_suggestion(self):
        self.refused(r'unknown field "comand" in container \(did you mean "command"\?\)',
                     plugins=[plugin("hello", OK_ANSWER, 14355, comand=["x"])])

    def test_a_policy_typo_has_a_place_and_a_suggestion(self):
        text = "apiVersion: mutation.policy/v1\nkind: MutationPolicy\nmetadata: {name: x, owner: a@b.c, reviewBy: \"2099-01-01\"}\n" \
               "spec:\n  mode: enforce\n  match: {plugin: {name: hello}, rpc: [template.execute], namespaces: [\"*\"], templates: [\"*\"]}\n  alow: []\n"
        self.refused(r'policy\.yaml:7:\d+: unknown field "alow".*did you mean "allow"', policies=text)

    def test_a_construct_that_is_not_run_is_named_with_its_place(self):
        workflow = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "w"},
                    "spec": {"entrypoint": "m", "templates": [{"name": "m", "dag": {"tasks": []}}]}}
        self.refused(r"tasks\.json:1:\d+: .*dag .*is not run", tasks=workflow)

    def test_no_such_file(self):
        run = self.bulkhead("run", "/nonexistent.yaml", "--plugins", "/nonexistent")
        self.assertEqual(run.code, 2, str(run))
        self.assertIn("/nonexistent.yaml", run.err)

    def test_usage_errors_exit_with_2(self):
        for args in ((), ("frobnicate",), ("run",), ("run", "x", "--tier", "lax"), ("audit", "verify")):
            with self.subTest(args=args):
                self.assertEqual(self.bulkhead(*args).code, 2)

    def test_the_agents_environment_is_held_to_the_words_of_its_options(self):
        cases = [
            ({"BULKHEAD_TIER": "lowest"}, [], "strict,restricted,auto"),
            ({"BULKHEAD_ROOTFS": "p"}, [], "error: --rootfs p: write PLUGIN=/absolute/folder"),
            ({"ARGO_AGENT_TASK_WORKERS": "0"}, [], "1 to 256"),
            ({"BULKHEAD_DRAIN": "soon"}, [], "error: --drain soon: must be a duration such as 15s"),
            ({}, ["--plugin-start-timeout", "0s"], "error: --plugin-start-timeout 0s: must be a positive duration such as 90s"),
        ]
        for env, args, expected in cases:
            with self.subTest(env=env, args=args):
                run = self.bulkhead("agent", "main", "--workflow", "w", *args, env=env)
                self.assertEqual(run.code, 2, str(run))
                self.assertIn(expected, run.err)

    def test_help_teaches(self):
        for args in (("--help",), ("run", "--help"), ("doctor", "--help"), ("audit", "verify", "--help")):
            run = self.bulkhead(*args)
            self.assertEqual(run.code, 0)
            self.assertRegex(run.out, r"(?i)exit code")


if __name__ == "__main__":
    unittest.main()
