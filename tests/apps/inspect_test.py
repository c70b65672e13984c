# SPDX-License-Identifier: Apache-2.0
"""aot inspect: counts, costs and refusals."""
import json
import unittest

from command import CommandTest


class Inspect(CommandTest):
    def inspect(self, *arguments):
        return json.loads(self.run_aot("inspect", "--json", *arguments)[0])

    def test_the_paper_presets_have_the_counts_of_the_formula(self):
        for name, count in [("gpt2-base", 123587328), ("aot-mssa-base", 101868544), ("aot-mssa-medium", 182401280), ("aot-mhsa-base", 122165120)]:
            row = self.inspect("--preset", name)
            self.assertEqual(row["parameters_without_positions"], count)
            self.assertEqual(row["parameters"], sum(row["groups"].values()))

    def test_models_of_functions_have_the_counts_of_their_blocks(self):
        self.assertEqual(self.inspect("--preset", "icl-gpt2")["parameters"], 9534977)
        self.assertIn("not for models of the task icl", self.error_of("inspect", "--preset", "icl-gpt2", "--patch", "5", code=2))

    def test_a_flag_goes_over_the_preset(self):
        row = self.inspect("--preset", "gpt2-tiny", "--layers", "2")
        self.assertEqual(sum(name.endswith("w_qkv") for name in row["shapes"]), 2)

    def test_memory_grows_with_batch_and_tokens(self):
        row = self.inspect("--preset", "aot-mssa-tiny", "--batch", "3", "--tokens", "128")
        self.assertEqual(row["memory"]["decode_state"], 3 * 128 * 256 * 6 * 4)

    def test_a_model_of_any_size_is_described_without_being_made(self):
        row = self.inspect("--preset", "gpt2-base", "--heads", "16", "--width", "262144")
        self.assertGreater(row["memory"]["weights"], 1 << 40)

    def test_what_cannot_be_is_refused(self):
        for arguments, words in [
            ([], "needs a checkpoint"),
            (["--preset", "gpt2-bas"], "did you mean 'gpt2-base'"),
            (["--preset", "gpt2-tiny", "--width", "100", "--heads", "3"], "width 100 is not divisible by 3 heads"),
            (["--preset", "gpt2-tiny", "somewhere"], "not both"),
            (["--preset", "gpt2-tiny", "--heads", "262144", "--head-dim", "2"], "numbers per token"),
            (["--preset", "gpt2-base", "--heads", "16", "--width", "262144", "--layers", "16384", "--context", "1048576", "--batch", "65536"], "beyond 2^63 bytes"),
            (["--preset", "gpt2-tiny", "--width", "1099511627776"], "too large"),
        ]:
            with self.subTest(arguments):
                self.assertIn(words, self.error_of("inspect", *arguments, code=2))

    def test_a_checkpoint_takes_no_settings(self):
        for arguments in (["run", "--layers", "3"], ["--diff", "a", "b", "--layers", "3"], ["--preset", "list", "--layers", "3"], ["--layers", "3"]):
            with self.subTest(arguments):
                self.assertIn("--layers: only --preset NAME takes settings of a model", self.error_of("inspect", *arguments, code=2))
        self.assertIn("--batch has no meaning with --diff", self.error_of("inspect", "--diff", "a", "b", "--batch", "2", code=2))

    def test_a_folder_that_is_no_run_is_a_bad_file(self):
        self.error_of("inspect", "/nowhere/at/all", code=3)


if __name__ == "__main__":
    unittest.main()
