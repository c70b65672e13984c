// SPDX-License-Identifier: Apache-2.0
// What every subcommand of `aot` shares. A subcommand is one file with `void add_<name>(Subcommand&)` and a line in subcommands.def.
#pragma once

#include <string>
#include <string_view>

#include <CLI/CLI.hpp>

#include "aot/core/options.h"

namespace aot {

/// The general flags, allowed on both sides of the subcommand. Subcommands read them and do not describe them again.
struct GeneralOptions {
  bool verbose = false;
  bool quiet = false;
  bool json = false;
  int64_t seed = -1;    // -1: a fresh one, printed
  int64_t threads = 0;  // 0: all
  std::string device = "auto";
};

void describe(Fields& fields, GeneralOptions& options);

/// One subcommand as it registers itself. Lives as long as the parser, so callbacks may keep a reference to it.
struct Subcommand {
  CLI::App& app;            // its own parser: add flags, positionals, nested subcommands, and set `callback`
  GeneralOptions& general;  // filled in (verbosity and threads set too) when the callback runs
};

/// Parses `config_path` (when not empty), environment and flags into `fields`, in that order of strength. Call first in a callback.
void resolve(Fields& fields, const std::string& config_path = "");

/// --seed, or a fresh one, which is told.
uint64_t first_seed(const GeneralOptions& general);

/// --threads, or as many as there are processors.
int64_t threads_of(const GeneralOptions& general);

/// Writes a result to stdout at once. Throws Error (exit 4) when that fails, e.g. on a full disk.
void print(std::string_view text);

/// Help text that stands before the flags, one command a line. Set it on nested subcommands too: they do not inherit it.
void set_examples(CLI::App& app, const std::string& examples);

/// A parser named `aot` whose help shows usage, examples, then flags, and for subcommands the general flags last.
void prepare_parser(CLI::App& app);

/// What is wrong with the command line, in our words: names the nearest known subcommand or flag, and where help is.
[[noreturn]] void throw_usage(const CLI::App& app, const CLI::ParseError& error);

}  // namespace aot
