// SPDX-License-Identifier: Apache-2.0
#include "aot/core/options.h"

#include <cstdlib>

#include <gtest/gtest.h>
#include <CLI/CLI.hpp>

#include "tests/support/files.h"

namespace aot {
namespace {

enum class Colour { red, green };

struct Example {
  int64_t steps = 100;
  double weight_decay = 0.1;
  bool resume = false;
  std::string name = "run";
  Colour colour = Colour::red;
  bool json = false;
};

void describe(Fields& fields, Example& example) {
  fields.heading("Training");
  fields.add("steps", example.steps, "steps in all").min(1).max(1000);
  fields.add("weight-decay", example.weight_decay, "decay").above(0);
  fields.add("resume", example.resume, "go on");
  fields.heading("Names");
  fields.add("name", example.name, "name of the run").metavar("NAME");
  fields.add("colour", example.colour, {{"red", Colour::red}, {"green", Colour::green}}, "colour");
  fields.add("json", example.json, "JSON on stdout").not_saved();
}

/// The example with its description and a command line already parsed into it.
struct Described {
  explicit Described(std::vector<std::string> arguments = {}) {
    describe(fields, example);
    fields.add_flags(app);
    std::reverse(arguments.begin(), arguments.end());
    app.parse(arguments);
  }
  Example example;
  Fields fields;
  CLI::App app;
};

TEST(Options, LaterOriginsWinWhateverTheOrderInWhichTheyAreRead) {
  Described d({"--steps", "5"});
  setenv("AOT_STEPS", "4", 1);
  setenv("AOT_WEIGHT_DECAY", "0.4", 1);
  d.fields.set_from_flags();
  d.fields.set_from_environment();
  d.fields.set_from(parse_toml("steps = 3\nweight_decay = 0.3\nname = \"file\"", "run.toml"), Origin::file, "run.toml");
  d.fields.set_from(parse_toml("steps = 2\nweight_decay = 0.2\nname = \"preset\"\nresume = true", "preset"), Origin::preset, "preset");
  unsetenv("AOT_STEPS");
  unsetenv("AOT_WEIGHT_DECAY");
  EXPECT_EQ(d.example.steps, 5);
  EXPECT_EQ(d.example.weight_decay, 0.4);
  EXPECT_EQ(d.example.name, "file");
  EXPECT_EQ(d.example.resume, true);
  EXPECT_EQ(d.fields.at("steps").origin, Origin::flag);
  EXPECT_EQ(d.fields.at("json").origin, Origin::default_value);
}

TEST(Options, FlagsComeInBothSensesAndDashesEqualUnderscores) {
  Described d({"--resume", "--json", "--no-json", "--colour", "green"});
  d.fields.set_from_flags();
  EXPECT_TRUE(d.example.resume);
  EXPECT_FALSE(d.example.json);
  EXPECT_EQ(d.example.colour, Colour::green);
  EXPECT_EQ(d.fields.find("weight_decay"), d.fields.find("weight-decay"));
  EXPECT_EQ(Described({"--name", "early"}).fields.early_text("name"), "early");
}

TEST(Options, UnknownKeysAreRefusedWithTheNearestKnownOne) {
  Described d;
  const auto refused = [&](std::string_view words, std::string_view text) {
    expect_error(2, words, [&] { d.fields.set_from(parse_toml(text, "run.toml"), Origin::file, "run.toml"); });
  };
  refused("run.toml: line 2: unknown key 'wieght_decay', did you mean 'weight_decay'?", "steps = 1\nwieght_decay = 1");
  refused("unknown key 'zzzzzzzzzz'; known keys are the flags", "zzzzzzzzzz = 1");
  refused("unknown key 'model.steps'", "[model]\nsteps = 1");
  expect_error(2, "unknown setting 'stepz', did you mean 'steps'?", [&] { d.fields.at("stepz"); });
}

TEST(Options, TypesRangesAndChoicesAreChecked) {
  const auto refused_file = [](std::string_view words, std::string_view text) {
    Described d;
    expect_error(2, words, [&] { d.fields.set_from(parse_toml(text, "run.toml"), Origin::file, "run.toml"); });
    EXPECT_EQ(d.example.steps, 100);
  };
  refused_file("run.toml: line 1: key 'steps': need an integer (found 1.5)", "steps = 1.5");
  refused_file("key 'steps': need an integer (found 'x')", "steps = \"x\"");
  refused_file("key 'steps': too small (found 0, need at least 1)", "steps = 0");
  refused_file("key 'steps': too large (found 1001, need at most 1000)", "steps = 1001");
  refused_file("key 'weight_decay': too small (found 0.0, need more than 0)", "weight_decay = 0.0");
  refused_file("key 'weight_decay': need a finite number (found nan)", "weight_decay = nan");
  refused_file("key 'resume': need true or false (found 1)", "resume = 1");
  refused_file("key 'colour': unknown value 'blue', need one of red, green", "colour = \"blue\"");
  const auto refused_flag = [](std::string_view words, const std::vector<std::string>& arguments) {
    Described d(arguments);
    expect_error(2, words, [&] { d.fields.set_from_flags(); });
  };
  refused_flag("--steps: need an integer (found '1e3')", {"--steps", "1e3"});
  refused_flag("--steps: need an integer (found '99999999999999999999')", {"--steps", "99999999999999999999"});
  refused_flag("--weight-decay: need a finite number", {"--weight-decay", "inf"});
  refused_flag("--weight-decay: need a number (found '0.1x')", {"--weight-decay", "0.1x"});
  Described d;
  setenv("AOT_STEPS", "many", 1);
  expect_error(2, "environment AOT_STEPS: need an integer (found 'many')", [&] { d.fields.set_from_environment(); });
  unsetenv("AOT_STEPS");
}

TEST(Options, AnIntegerServesWhereANumberIsWanted) {
  Described d({"--weight-decay", "2"});
  d.fields.set_from(parse_toml("weight_decay = 3", "run.toml"), Origin::file, "run.toml");
  EXPECT_EQ(d.example.weight_decay, 3.0);
  d.fields.set_from_flags();
  EXPECT_EQ(d.example.weight_decay, 2.0);
}

TEST(Options, WhatIsSavedReadsBackAsTheSameOptions) {
  Example example{7, 1.0 / 3, true, "a \"b\"\n\xe2\x82\xac", Colour::green, true};
  const std::string text = describe_as_toml(example);
  EXPECT_EQ(text,
            "# Training\nsteps = 7\nweight_decay = 0.3333333333333333\nresume = true\n\n# Names\nname = \"a "
            "\\\"b\\\"\\u000a\xe2\x82\xac\"\ncolour = \"green\"\n");
  Described d;
  d.fields.set_from(parse_toml(text, "saved"), Origin::file, "saved");
  EXPECT_EQ(describe_as_toml(d.example), text);
  EXPECT_EQ(d.example.weight_decay, 1.0 / 3);
  EXPECT_FALSE(d.example.json) << "a field of one invocation is not saved";
  EXPECT_EQ(d.fields.entries().size(), 5u);
}

TEST(Options, HelpShowsHeadingsTypesAndDefaults) {
  Described d;
  const std::string help = d.app.help();
  for (const char* words :
       {"Training:", "--steps N", "steps in all [100]", "--weight-decay X", "--name NAME", "--colour red|green", "--resume"})
    EXPECT_NE(help.find(words), std::string::npos) << words << "\n" << help;
}

}  // namespace
}  // namespace aot
