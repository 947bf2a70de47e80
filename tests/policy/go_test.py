"""What the decoder admits, Go's encoding/json and we see as the same document.

Recorded pairs are compared everywhere. Where there is a Go compiler, fresh random replies are given to Go itself.
To record anew:  policy_differential sample 1 800 | go run tests/policy/go/main.go -record > tests/policy/go_pairs.jsonl
"""

import os
import pathlib
import shutil
import subprocess
import unittest

HERE = pathlib.Path(__file__).resolve().parent
TOOL = os.environ.get("POLICY_DIFFERENTIAL", "")


class Go(unittest.TestCase):
    def test_recorded_pairs(self):
        run = subprocess.run([TOOL, "recorded", str(HERE / "go_pairs.jsonl")], capture_output=True, text=True)
        self.assertEqual(run.returncode, 0, run.stdout[-4000:] + run.stderr)

    def test_fresh_replies(self):
        go = shutil.which("go")
        seed = os.environ.get("POLICY_DIFFERENTIAL_SEED", "20261124")
        lines = subprocess.run([TOOL, "admitted", seed, "60000"], capture_output=True)
        self.assertEqual(lines.returncode, 0, "too few of the random replies are admitted")
        self.assertGreater(lines.stdout.count(b"\n"), 3000)
        if go is None:
            return  # the recorded pairs stand in for it
        build = pathlib.Path(TOOL).parent / "go-differential"
        environment = dict(os.environ, GOCACHE=str(build / "cache"), GOFLAGS="", GO111MODULE="off", GOTOOLCHAIN="local", GOPROXY="off", CGO_ENABLED="0")
        made = subprocess.run([go, "build", "-o", str(build / "go-differential"), str(HERE / "go" / "main.go")], capture_output=True, text=True, env=environment)
        self.assertEqual(made.returncode, 0, made.stderr)
        run = subprocess.run([str(build / "go-differential")], input=lines.stdout, capture_output=True)
        self.assertEqual(run.returncode, 0, run.stdout.decode()[-4000:])


if __name__ == "__main__":
    unittest.main()
