# SPDX-License-Identifier: Apache-2.0
"""What holds for every subcommand: help, general flags, usage errors."""
import os
import re
import subprocess
import unittest

from command import COMMAND, CommandTest


class Help(CommandTest):
    def test_without_arguments_the_command_shows_help_with_examples_before_flags(self):
        out, _ = self.run_aot()
        self.assertLess(out.index("Examples:"), out.index("--help"))
        self.assertIn("Subcommands:", out)
        self.assertEqual(out, self.run_aot("--help")[0])

    def test_every_subcommand_has_help_that_names_the_general_flags(self):
        out, _ = self.run_aot()
        names = re.findall(r"^  (\w+) ", out[out.index("Subcommands:") :], re.MULTILINE)
        self.assertIn("doctor", names)
        for name in names:
            with self.subTest(name):
                text, _ = self.run_aot(name, "--help")
                self.assertIn(f"Usage: aot {name}", text)
                self.assertIn("--threads N", text)

    def test_version(self):
        self.assertRegex(self.run_aot("--version")[0], r"\Aaot \d+\.\d+\.\d+\n\Z")


class Usage(CommandTest):
    def test_unknown_names_are_answered_with_the_nearest_known_one(self):
        self.assertIn("did you mean 'doctor'?", self.error_of("doktor", code=2))
        self.assertIn("did you mean '--json'?", self.error_of("doctor", "--jsno", code=2))
        self.assertIn("did you mean '--threads'?", self.error_of("--thread=2", "doctor", code=2))

    def test_what_is_wrong_with_general_flags_ends_with_2(self):
        for arguments, words in (
            (["doctor", "--threads", "x"], "--threads: need an integer"),
            (["doctor", "--threads"], "--threads"),
            (["doctor", "--threads", "1", "--threads", "2"], "--threads"),
            (["--threads", "5000", "doctor"], "too large"),
            (["doctor", "--seed", "1.5"], "--seed: need an integer"),
            (["doctor", "--seed", "-2"], "too small"),
            (["doctor", "--device", "mars"], "unknown device 'mars'"),
            (["--quiet", "doctor", "--verbose"], "exclude each other"),
            (["doctor", "surplus"], "unexpected argument 'surplus'"),
            (["--threads", "1"], "needs a subcommand"),
            ([""], "subcommand"),
        ):
            with self.subTest(arguments):
                self.assertIn(words, self.error_of(*arguments, code=2))

    def test_control_characters_in_arguments_are_escaped(self):
        self.assertIn(r"\x1b", self.error_of("do\x1b[31mctor", code=2))

    def test_long_arguments_are_cut(self):
        self.assertIn("unknown subcommand", self.error_of("x" * 10000, code=2))

    def test_flags_override_the_environment(self):
        self.assertEqual(self.json_of("doctor", "--json", env={"AOT_THREADS": "2"})["threads"], 2)
        self.assertEqual(self.json_of("doctor", "--json", "--threads", "1", env={"AOT_THREADS": "2"})["threads"], 1)
        self.assertIn("environment AOT_THREADS", self.error_of("doctor", code=2, env={"AOT_THREADS": "many"}))

    def test_a_full_disk_behind_stdout_ends_with_4(self):
        for arguments in (["doctor"], ["--help"]):
            with self.subTest(arguments), open("/dev/full", "w", encoding="utf-8") as full:
                done = subprocess.run([COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
                self.assertEqual(done.returncode, 4)
                self.assertIn("No space left", done.stderr)


class Doctor(CommandTest):
    def test_general_flags_work_on_both_sides(self):
        before = self.json_of("--json", "--threads", "1", "doctor")
        after = self.json_of("doctor", "--threads", "1", "--json")
        self.assertEqual(before["threads"], 1)
        self.assertEqual(before.keys(), after.keys())

    def test_one_openmp_runtime_is_mapped(self):
        self.assertEqual(len(self.json_of("doctor", "--json")["openmp_runtimes"]), 1)

    def test_it_tells_versions_and_measures(self):
        facts = self.json_of("doctor", "--json")
        self.assertRegex(facts["libtorch"], r"^2\.\d+")
        self.assertGreater(facts["matmul_gflops"], 0)
        self.assertGreater(facts["memory_bytes"], facts["available_memory_bytes"])
        self.assertIn("GFLOP/s", self.run_aot("doctor")[0])

    def test_it_tells_which_kernels_run(self):
        facts = self.json_of("doctor", "--json", env={"AOT_CPU_PATH": "generic"})
        self.assertEqual(facts["cpu_path"], "generic")
        self.assertEqual(facts["cpu_paths"][0], "generic")
        self.assertIn("generic, by AOT_CPU_PATH", self.run_aot("doctor", env={"AOT_CPU_PATH": "generic"})[0])
        self.assertIn("AOT_CPU_PATH=mmx is no path", self.error_of("doctor", code=2, env={"AOT_CPU_PATH": "mmx"}))

    def test_tuning_times_every_path_and_changes_none(self):
        facts = self.json_of("doctor", "--tune", "--json", env={"AOT_CPU_PATH": "generic"})
        self.assertEqual([row["path"] for row in facts["tuning"]], facts["cpu_paths"])
        for row in facts["tuning"]:
            self.assertGreater(min(row["float32_gflops"], row["bfloat16_gflops"], row["attention_gflops"]), 0)


class GoneReaders(CommandTest):
    def test_a_closed_stdout_is_a_write_error(self):
        for arguments in (["mixers", "list"], ["--help"]):
            reader, writer = os.pipe()
            os.close(reader)
            done = subprocess.run([COMMAND, *arguments], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
            os.close(writer)
            self.assertEqual(done.returncode, 4)
            self.assertRegex(done.stderr, r"\Aaot: error: stdout: write error[^\n]*\n\Z")

    def test_a_name_that_cannot_be_is_a_bad_file(self):
        self.assertIn("too long", self.error_of("generate", "--model", "x" * 300, "--prompt", "a", code=3))


if __name__ == "__main__":
    unittest.main()
