"""What `bulkhead agent main` does with tasks of an API server, by a plugin in a compartment: latency and memory.

Usage: agent_bench.py latency|memory. Exit code 1 when a bound is missed. BULKHEAD and NOOP_PLUGIN name the programs.
The API server is tests/support/fake_apiserver.py, whose own work counts in every figure.
"""

import json
import os
import pathlib
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))
from kube_case import TASKSETS, Controller, KubeCase, side_policy, taskset, template  # noqa: E402

PORT = 14371
failures = []


def report(what, value, bound, unit):
    good = value <= bound
    print("%-58s %8.1f %-4s (at most %.0f) %s" % (what, value, unit, bound, "ok" if good else "MISSED"))
    if not good:
        failures.append(what)


class Bench(KubeCase):
    def start(self, *args, **kwargs):
        self.write("plugins/side.json", {
            "apiVersion": "argoproj.io/v1alpha1", "kind": "ExecutorPlugin",
            "metadata": {"name": "side", "annotations": {"bulkhead.dev/handles": "side"}},
            "spec": {"sidecar": {"container": {
                "name": "side-executor-plugin", "image": "noop", "command": [os.environ["NOOP_PLUGIN"], str(PORT)],
                "ports": [{"containerPort": PORT}], "securityContext": {"runAsNonRoot": True, "runAsUser": 65534},
                "resources": {"requests": {"memory": "64Mi", "cpu": "1"}, "limits": {"memory": "128Mi", "cpu": "2"}}}}}})
        agent = self.agent("--plugins", self.dir / "plugins", *args, level="warn", **kwargs)
        return agent

    def latency(self):
        """50 tasks a second for 12 s; the controller takes results out once a second, as one under load would."""
        rate, seconds = 50, 12
        seen, done = {}, {}
        self.api.bookmark_every = 5
        self.api.put(*TASKSETS, taskset({"warm": {}}))
        agent = self.start()
        self.wait_phases(agent, {"warm": "Succeeded"}, timeout=60)
        controller = Controller(self.api, every=1.0)
        self.addCleanup(controller.stop)

        # Told of each write of the object itself: looking for results from time to time would be counted too.
        store = self.api._store

        def watched(key, obj, kind):
            now = time.monotonic()
            for node, result in obj.get("status", {}).get("nodes", {}).items():
                if result.get("phase") == "Succeeded":
                    done.setdefault(node, now)
            store(key, obj, kind)
        self.api._store = watched
        patches_before, begun = self.api.count("patch"), time.monotonic()
        for i in range(rate * seconds):
            time.sleep(max(0, begun + i / rate - time.monotonic()))
            node = "n%d" % i
            seen[node] = time.monotonic()
            self.api.change(*TASKSETS, "wf", {"spec": {"tasks": {node: template(node)}}})
        self.wait_for(lambda: all(node in done for node in seen), agent, 30)
        took = time.monotonic() - begun
        patches = self.api.count("patch") - patches_before
        times = sorted((done[n] - seen[n]) * 1000 for n in seen)
        print("%d tasks in %.1f s, %d patches" % (len(times), took, patches))
        report("task visible to result visible, p50, 50 tasks/s", times[len(times) // 2], 50, "ms")
        report("task visible to result visible, p99, 50 tasks/s", times[len(times) * 99 // 100], 250, "ms")
        report("patches a second", patches / took, 20, "")
        idle = self.settled_patches()
        time.sleep(2)
        report("patches in 2 s without tasks", self.api.count("patch") - idle, 0, "")
        agent.terminate()

    def settled_patches(self):
        """The patches so far, once the last one, seen while it is stored, was answered and counted."""
        deadline = time.monotonic() + 10
        count = -1
        while count != self.api.count("patch") and time.monotonic() < deadline:
            count = self.api.count("patch")
            time.sleep(0.3)
        return count

    def memory(self):
        """10,000 tasks at once, in ten workflows of a thousand; the most that the agent ever held."""
        controller = Controller(self.api, every=0.2)
        self.addCleanup(controller.stop)
        self.api.bookmark_every = 5
        for w in range(10):
            self.api.put(*TASKSETS, taskset({"w%d-n%d" % (w, i): {} for i in range(1000)}, "wf%d" % w, "uid%d" % w))
        begun = time.monotonic()
        agent = self.start("--all", workflow="")
        self.wait_for(lambda: len(controller.results) == 10_000, agent, 120)
        took = time.monotonic() - begun
        status = pathlib.Path("/proc/%d/status" % agent.process.pid).read_text()
        peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        print("10,000 results reconciled in %.1f s" % took)
        report("resident memory at most, 10,000 tasks in flight", peak / 1024, 64, "MiB")
        agent.terminate()

    def runTest(self):
        getattr(self, sys.argv[1])()


if __name__ == "__main__":
    import unittest
    result = unittest.TextTestRunner(verbosity=0).run(Bench())
    sys.exit(1 if failures or not result.wasSuccessful() else 0)
