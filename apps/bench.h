// SPDX-License-Identifier: Apache-2.0
// The benches of `aot bench`: how one registers, and those that are a file of their own.
#pragma once

#include <memory>

#include "apps/command.h"

namespace aot {

struct BenchText {
  const char *name, *summary, *examples;
};

/// Adds a bench that runs with its flags as the command line gives them.
template <class Flags>
void add_bench(CLI::App& parent, GeneralOptions& general, const BenchText& text, void (*describe)(Fields&, Flags&),
               void (*run)(const Flags&, const GeneralOptions&)) {
  struct State {
    Flags flags;
    Fields fields;
  };
  const auto state = std::make_shared<State>();
  describe(state->fields, state->flags);
  CLI::App* app = parent.add_subcommand(text.name, text.summary);
  app->fallthrough();
  set_examples(*app, text.examples);
  state->fields.add_flags(*app);
  app->callback([state, run, &general] {
    resolve(state->fields);
    run(state->flags, general);
  });
}

void add_bench_attention(CLI::App& bench, GeneralOptions& general);
void add_bench_linear(CLI::App& bench, GeneralOptions& general);
void add_bench_head(CLI::App& bench, GeneralOptions& general);
void add_bench_mixers(CLI::App& bench, GeneralOptions& general);
void add_bench_vision(CLI::App& bench, GeneralOptions& general);
void add_bench_images(CLI::App& bench, GeneralOptions& general);

}  // namespace aot
