# SPDX-License-Identifier: Apache-2.0
"""Runs `aot` for the tests of the command line."""
import json
import os
import subprocess
import unittest

COMMAND = os.environ["AOT_COMMAND"]


class CommandTest(unittest.TestCase):
    def run_aot(self, *arguments, code=0, env=None, stdin=""):
        """Runs `aot arguments`, expects the exit code, or one of several, and returns (stdout, stderr)."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AOT_")}
        done = subprocess.run([COMMAND, *arguments], input=stdin, capture_output=True, text=True, env={**clean, **(env or {})}, timeout=300, check=False)
        self.assertIn(done.returncode, code if isinstance(code, tuple) else (code,), f"aot {' '.join(arguments)}: {done.stdout[-500:]}{done.stderr[-500:]}")
        return done.stdout, done.stderr

    def error_of(self, *arguments, code, **options):
        """The one line on stderr of a refusal."""
        out, err = self.run_aot(*arguments, code=code, **options)
        self.assertEqual(out, "")
        self.assertRegex(err, r"\Aaot: error: [^\n]+\n\Z")
        self.assertLessEqual(len(err.encode()), 301)
        return err

    def json_of(self, *arguments, **options):
        out, _ = self.run_aot(*arguments, **options)
        return json.loads(out)
