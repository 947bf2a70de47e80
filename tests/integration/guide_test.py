"""The ten-minute guide of the README: its files are written, its commands run, and what they print is what it shows."""

import os
import re
import shlex
import subprocess
import unittest

from bulkhead_case import BULKHEAD, ROOT, BulkheadCase

HEADING = "### Write a policy in ten minutes"


def blocks():
    """(what, content) in order: ("file NAME", text), ("file NAME+", text to append) or ("console", text)."""
    text = (ROOT / "README.md").read_text()
    section = re.search(re.escape(HEADING) + r"\n(.*?)(?=\n##? |\Z)", text, re.S).group(1)
    found = []
    for info, content in re.findall(r"^```(.*?)\n(.*?)^```$", section, re.S | re.M):
        words = info.split()
        if words == ["console"]:
            found.append(("console", content))
        elif len(words) == 2:
            found.append(("file " + words[1], content))
    return found


def steady(output):
    """The hostile corpus grows with Argo's schema; the guide need not be written anew for that."""
    return re.sub(r"hostile corpus: (\d+) of \1 refused", "hostile corpus: N of N refused", output)


def commands(console):
    """(command, shown output) pairs."""
    return [(command, shown) for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", console, re.M)]


class Guide(BulkheadCase):
    def run_shown(self, command):
        words = shlex.split(command)
        self.assertEqual(words[0], "bulkhead", command)
        environment = {"PATH": os.environ["PATH"], "NO_COLOR": "1"}
        environment.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")})
        return subprocess.run([BULKHEAD, *words[1:]], cwd=self.dir, env=environment, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=60, stdin=subprocess.DEVNULL)

    def test_each_command_of_the_guide_prints_what_it_shows(self):
        ran = 0
        for what, content in blocks():
            if what != "console":
                name = what.split()[1]
                before = (self.dir / name[:-1]).read_text() if name.endswith("+") else ""
                self.write(name.rstrip("+"), before + content)
                continue
            for command, shown in commands(content):
                run = self.run_shown(command)
                self.assertIn(run.returncode, (0, 1, 3, 4), command + "\n" + run.stdout)
                if shown:
                    self.assertEqual(steady(run.stdout), steady(shown), command)
                ran += 1
        self.assertGreaterEqual(ran, 8)


if __name__ == "__main__":
    unittest.main()
