"""Everything that can end while tasks run ends, at random: each task has one result all the same."""

import collections
import json
import os
import pathlib
import random
import signal
import subprocess
import threading
import time

from bulkhead_case import plugin
from kube_case import TASKSETS, Controller, KubeCase, taskset, template

SEED = int(os.environ.get("CHAOS_SEED", "20261124"))


def descendants(pid):
    """Of a process, by /proc."""
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
                parents[int(entry.name)] = int(stat[stat.rindex(")") + 2:].split()[1])
            except (OSError, ValueError):
                pass
    found, front = [], [pid]
    while front:
        front = [p for p, parent in parents.items() if parent in front]
        found += front
    return found


class AgentChaos(KubeCase):
    def kill_at_random(self, make_agent, done, disturb, random_, least, most):
        """Kills the agent with SIGKILL and starts it again until `done()`; returns the instants."""
        kills = []
        agent = make_agent()
        while not self.api.wait(done, random_.uniform(least, most)):
            disturb()
            kills.append(time.monotonic())
            agent.kill()
            agent = make_agent()
            if len(kills) > 60:
                self.fail("no end of it\n" + agent.text())
        return agent, kills

    def assert_each_result_is_one(self, controller, nodes, sidecar, kills):
        self.assertEqual(collections.Counter(len(r) for r in controller.results.values()), {1: len(nodes)})
        self.assertEqual({r[0]["message"] for r in controller.results.values()}, {"ok"})
        self.assert_verifies()
        # A result that was recorded was in the journal by then: its plugin is never called again.
        recorded = collections.Counter(r["node"] for r in self.records("call") if r.get("phase") == "Succeeded")
        self.assertEqual([n for n, count in recorded.items() if count > 1], [])
        calls = collections.defaultdict(list)
        for call in sidecar.calls:
            calls[call["node"]].append(call)
        repeated = 0
        for node, of_node in calls.items():
            self.assertEqual(len({c["key"] for c in of_node}), 1, node)
            for earlier, later in zip(of_node, of_node[1:]):
                repeated += 1
                if earlier["answered"]:
                    # Only a kill between the answer and its record can be the reason.
                    self.assertTrue(any(-0.5 < k - earlier["ended"] < 1.0 for k in kills), (node, earlier, later))
                    self.assertGreater(later["attempt"], earlier["attempt"])
        return repeated

    def test_500_tasks_over_kills_restarts_cuts_and_throttling(self):
        random_ = random.Random(SEED)

        def answer(call):
            time.sleep(random_.uniform(0, 0.04))
            if random_.random() < 0.01:
                raise ConnectionError("the plugin dies in the call")
            return {"node": {"phase": "Succeeded", "message": "ok"}}
        sidecar = self.sidecar(answer)
        controller = Controller(self.api)
        self.addCleanup(controller.stop)
        nodes = ["n%03d" % i for i in range(500)]
        self.api.put(*TASKSETS, taskset({n: {} for n in nodes[:100]}))

        def feed():
            for begin in range(100, 500, 20):
                time.sleep(random_.uniform(0.1, 0.4))
                self.api.change(*TASKSETS, "wf", {"spec": {"tasks": {n: template(n) for n in nodes[begin:begin + 20]}}})
        feeder = threading.Thread(target=feed)
        feeder.start()
        self.addCleanup(feeder.join)

        def fault(verb, resource):
            dice = random_.random()
            if dice < 0.02:
                return {"status": random_.choice([429, 500, 503]), "retry_after": 0}
            if dice < 0.04:
                return {"close": True}
            if dice < 0.06 and verb == "patch":
                return {"after": "drop"}
            return {"delay": 0.05} if dice < 0.1 else None
        self.api.faults = [fault]

        def disturb():
            dice = random_.random()
            if dice < 0.25:
                self.api.stop()
                time.sleep(random_.uniform(0, 0.3))
                self.api.start()
            elif dice < 0.5:
                self.api.cut()
                self.api.compact()
        agent, kills = self.kill_at_random(self.agent, lambda: len(controller.results) == 500, disturb, random_, 0.1, 1.0)
        feeder.join()
        self.api.faults = []
        time.sleep(0.3)
        self.assertEqual(agent.terminate(), 0, agent.text())
        repeated = self.assert_each_result_is_one(controller, nodes, sidecar, kills)
        self.assertGreater(len(kills), 3)
        print("chaos: %d kills, %d calls of %d repeated" % (len(kills), repeated, len(sidecar.calls)))

    def test_a_plugin_that_is_killed_is_started_again_and_no_task_is_lost(self):
        answer = """
def answer(h, act, args):
    time.sleep(0.1)
    h.reply({'node': {'phase': 'Succeeded', 'message': 'ok'}})
"""
        self.write("plugins/side.json", plugin("side", answer, 14364))
        controller = Controller(self.api)
        self.addCleanup(controller.stop)
        self.api.put(*TASKSETS, taskset({}))
        agent = self.agent("--plugins", self.dir / "plugins")

        def plugins():
            found = set()
            for pid in descendants(agent.process.pid):
                try:
                    if b"python3" in pathlib.Path("/proc/%d/cmdline" % pid).read_bytes():
                        found.add(pid)
                except OSError:
                    pass
            return found
        killed = set()
        # One death a wave: calls that were in flight are repeated one by one, and one that met a second death is the culprit.
        for wave in range(3):
            self.api.change(*TASKSETS, "wf", {"spec": {"tasks": {"n%d" % (60 * wave + i): template("n%d" % (60 * wave + i))
                                                                 for i in range(60)}}})
            self.wait_for(lambda: len(controller.results) >= 60 * wave + 10 and plugins() - killed, agent, 60)
            for pid in plugins() - killed:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
            self.wait_for(lambda: len(controller.results) == 60 * (wave + 1), agent, 60)
        self.assertGreaterEqual(len(self.records("plugin.start")), 4)
        self.assertEqual(collections.Counter((len(r), r[0]["phase"]) for r in controller.results.values()), {(1, "Succeeded"): 180})
        self.assertEqual(agent.terminate(), 0, agent.text())
        self.assert_verifies()

    def test_a_full_disk_ends_the_agent_and_the_next_one_loses_nothing(self):
        disk = self.dir / "disk"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", disk])
        sidecar = self.sidecar()
        controller = Controller(self.api)
        self.addCleanup(controller.stop)
        nodes = ["n%d" % i for i in range(80)]
        self.api.put(*TASKSETS, taskset({n: {} for n in nodes[:20]}))
        self.audit = disk / "audit.jsonl"
        make = lambda: self.agent(journal="disk/journal", audit=self.audit)
        agent = make()
        self.wait_for(lambda: len(controller.results) == 20, agent)
        with open(disk / "ballast", "wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(b"x" * 4096)
            except OSError:
                pass
        self.api.change(*TASKSETS, "wf", {"spec": {"tasks": {n: template(n) for n in nodes[20:]}}})
        self.assertEqual(agent.wait(), 1, agent.text())
        ended = time.monotonic()
        self.assertIn("can't be written", agent.text())
        (disk / "ballast").unlink()
        agent = make()
        self.wait_for(lambda: len(controller.results) == 80, agent)
        time.sleep(0.3)
        self.assertEqual(agent.terminate(), 0, agent.text())
        self.assert_each_result_is_one(controller, nodes, sidecar, [ended])

    def test_a_partition_delays_results_and_does_no_more(self):
        ip = lambda *a: subprocess.run(["ip", *a], check=True, capture_output=True)
        space, outside, inside = "bulkhead-chaos", "bh-chaos0", "bh-chaos1"
        subprocess.run(["ip", "netns", "del", space], capture_output=True)
        ip("netns", "add", space)
        self.addCleanup(subprocess.run, ["ip", "netns", "del", space])
        ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", space)
        ip("addr", "add", "10.77.0.1/30", "dev", outside)
        ip("link", "set", outside, "up")
        for command in (("addr", "add", "10.77.0.2/30", "dev", inside), ("link", "set", inside, "up"), ("link", "set", "lo", "up")):
            ip("-n", space, *command)
        self.api.stop()
        self.api.host, self.api.port = "10.77.0.1", 0
        self.api.start()
        self.kubeconfig = self.api.kubeconfig(self.dir / "kubeconfig")
        answer = """
def answer(h, act, args):
    h.reply({'node': {'phase': 'Succeeded', 'message': 'ok'}})
"""
        self.write("plugins/side.json", plugin("side", answer, 14365))
        controller = Controller(self.api)
        self.addCleanup(controller.stop)
        self.api.put(*TASKSETS, taskset({"n%d" % i: {} for i in range(10)}))
        agent = self.agent("--plugins", self.dir / "plugins", prefix=("ip", "netns", "exec", space))
        self.wait_for(lambda: len(controller.results) == 10, agent, 60)
        for turn in (1, 2):
            ip("link", "set", outside, "down")
            begin = turn * 10
            self.api.change(*TASKSETS, "wf", {"spec": {"tasks": {"n%d" % i: template("n%d" % i) for i in range(begin, begin + 10)}}})
            time.sleep(2.5)
            self.assertEqual(len(controller.results), begin)
            ip("link", "set", outside, "up")
            self.wait_for(lambda: len(controller.results) == begin + 10, agent, 60)
        self.assertEqual(agent.terminate(), 0, agent.text())
        self.assertEqual({len(r) for r in controller.results.values()}, {1})
        self.assertEqual(len([r for r in self.records("call")]), 30)
        self.assert_verifies()
