"""Nothing is left behind: no process, descriptor, mount, cgroup or file, however a run ends."""

import json
import os
import pathlib
import signal
import subprocess
import time
import unittest

from bulkhead_case import BULKHEAD, BulkheadCase, OK_ANSWER, plugin, policy, taskset

INIT = str(pathlib.Path(BULKHEAD).resolve().parent / "bulkhead-init")
HANG = "def answer(h, act, args):\n    time.sleep(1000)\n"
ESCAPER = """
def answer(h, act, args):
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(1000)
            os._exit(0)
    h.reply({'node': {'phase': 'Succeeded', 'message': 'ok'}})
"""


def cgroups():
    """Those of agents that are gone: a group is named bulkhead-PID-NUMBER, by its agent."""
    found = {p for p in pathlib.Path("/sys/fs/cgroup").glob("**/bulkhead-*-*") if p.is_dir()}
    return {str(p) for p in found if not os.path.exists("/proc/" + p.name.split("-")[1])}


def program(process):
    try:
        return os.readlink(process / "exe")
    except OSError:
        return None  # it has ended


def processes(marker):
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if marker.encode() in line or program(entry) == INIT:
            found.append((entry.name, line[:80]))
    return found


class Leaks(BulkheadCase):
    def setUp(self):
        super().setUp()
        self.marker = "marker-%d" % os.getpid()
        self.mounts = pathlib.Path("/proc/self/mounts").read_text()
        self.cgroups = cgroups()
        self.token_dir = set(os.listdir("/var/run/argo")) if os.path.isdir("/var/run/argo") else set()

    def assert_nothing_left(self, wait=0.0):
        end = time.monotonic() + wait
        while processes(self.marker) and time.monotonic() < end:
            time.sleep(0.02)
        self.assertEqual(processes(self.marker), [])
        self.assertEqual(pathlib.Path("/proc/self/mounts").read_text(), self.mounts)
        while cgroups() - self.cgroups and time.monotonic() < end:
            time.sleep(0.02)
        self.assertEqual(cgroups() - self.cgroups, set())
        self.assertEqual(os.listdir(self.dir / "tmp"), [])
        left = set(os.listdir("/var/run/argo")) if os.path.isdir("/var/run/argo") else set()
        self.assertEqual(left - self.token_dir, set())

    def marked(self, name, answer, port):
        return plugin(name, answer + "\nMARKER = %r\n" % self.marker, port)

    def test_after_an_ordinary_run(self):
        for tier in ("strict", "restricted"):
            with self.subTest(tier=tier):
                run = self.run_tasks({"a": ("p", {}), "b": ("q", {})}, [self.marked("p", OK_ANSWER, 14355), self.marked("q", ESCAPER, 14356)],
                                     "--tier", tier)
                self.assertEqual(run.code, 0, str(run))
                self.assert_nothing_left()

    def start(self, tier, manifest):
        self.write("tasks.json", taskset({"a": ("p", {})}))
        self.write("plugins/p.json", manifest)
        self.write("policy.yaml", policy("p"))
        process = subprocess.Popen([BULKHEAD, "run", self.dir / "tasks.json", "--plugins", self.dir / "plugins", "--policy",
                                    self.dir / "policy.yaml", "--audit", self.audit, "--tier", tier],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")},
                                        "PATH": os.environ["PATH"], "TMPDIR": str(self.dir / "tmp")})
        self.addCleanup(process.kill)
        end = time.monotonic() + 30
        while not (self.audit.exists() and "plugin.start" in self.audit.read_text()):
            self.assertIsNone(process.poll(), "ended early")
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)
        return process

    def test_after_an_interrupt(self):
        for tier in ("strict", "restricted"):
            with self.subTest(tier=tier):
                self.audit.unlink(missing_ok=True)
                process = self.start(tier, self.marked("p", HANG, 14355))
                process.send_signal(signal.SIGTERM)
                out, err = process.communicate(timeout=30)
                self.assertEqual(process.returncode, 1, err)
                self.assertIn(b"interrupted", out)
                self.assert_nothing_left()
                self.assert_verifies()

    def test_an_interrupt_does_not_wait_for_a_plugin_that_never_listens(self):
        manifest = self.marked("p", HANG, 14355)
        manifest["spec"]["sidecar"]["container"].update(command=["sleep", "1000"], args=[])
        process = self.start("strict", manifest)
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        self.assertLess(time.monotonic() - begin, 10, "as long as the start timeout, which is 20 s")
        self.assert_nothing_left()

    def test_after_kill_9_no_process_is_left(self):
        for tier in ("strict", "restricted"):
            with self.subTest(tier=tier):
                self.audit.unlink(missing_ok=True)
                process = self.start(tier, self.marked("p", HANG, 14355))
                process.kill()
                process.communicate()
                end = time.monotonic() + 10
                while processes(self.marker) and time.monotonic() < end:
                    time.sleep(0.02)
                self.assertEqual(processes(self.marker), [])

    def test_a_plugin_inherits_only_what_it_should(self):
        answer = """
def answer(h, act, args):
    fds = sorted(int(f) for f in os.listdir('/proc/self/fd'))
    listing = {f: os.readlink('/proc/self/fd/%d' % f) for f in fds if f < 3}
    h.reply({'node': {'phase': 'Succeeded', 'message': ' '.join(listing.values()) + ' ' + ' '.join(sorted(os.environ))}})
"""
        run = self.run_tasks({"a": ("p", {})}, [plugin("p", answer, 14355)], "--tier", "strict", env={"LEAKED_FROM_THE_AGENT": "yes"})
        self.assertEqual(run.code, 0, str(run))
        message = run.nodes()["a"]["message"]
        self.assertRegex(message, r"^/dev/null pipe:\S+ pipe:\S+ ")
        self.assertNotIn("LEAKED", message)


if __name__ == "__main__":
    unittest.main()
