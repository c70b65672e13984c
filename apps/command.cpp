// SPDX-License-Identifier: Apache-2.0
#include "apps/command.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "aot/core/log.h"
#include "aot/core/random.h"
#include "aot/core/text.h"
#include "aot/io/error.h"
#include "aot/io/toml.h"

namespace aot {
namespace {

constexpr const char* kGeneral = "General";

const CLI::App* root_of(const CLI::App* app) {
  while (app->get_parent() != nullptr) app = app->get_parent();
  return app;
}

class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override {
    if (mode == CLI::AppFormatMode::Sub) return make_expanded(app);
    std::string out = make_description(app) + make_usage(app, name);
    const CLI::App* parent = app->get_parent();
    // A nested parser starts with its parent's footer, which holds the parent's examples.
    if (!app->get_footer().empty() && (parent == nullptr || parent->get_footer() != app->get_footer()))
      out += "\nExamples:\n" + indented(app->get_footer());
    out += make_positionals(app) + make_groups(app, mode) + make_subcommands(app, mode);
    if (parent != nullptr) {
      const auto general = root_of(app)->get_options([](const CLI::Option* option) { return option->get_group() == kGeneral; });
      out += make_group(kGeneral, false, general);
    }
    return out;
  }

 protected:
  std::string make_option_name(const CLI::Option* option, bool is_positional) const override {
    std::string name = option->get_name(is_positional, !is_positional);
    if (const size_t mark = name.find("{false}"); mark != std::string::npos) name.erase(mark);  // CLI11 tells what --no-x sets
    return name;
  }

 private:
  static std::string indented(const std::string& lines) {
    std::string out = "  ";
    for (const char c : lines) {
      out += c;
      if (c == '\n') out += "  ";
    }
    while (!out.empty() && (out.back() == ' ' || out.back() == '\n')) out.pop_back();
    return out + "\n";
  }
};

/// The subcommand that was being parsed, nested ones included.
const CLI::App& deepest(const CLI::App& app) {
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().back();
  return *at;
}

std::string full_name(const CLI::App& app) {
  return app.get_parent() == nullptr ? app.get_name() : full_name(*app.get_parent()) + " " + app.get_name();
}

std::vector<std::string> subcommand_names(const CLI::App& app) {
  std::vector<std::string> out;
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) out.push_back(sub->get_name());
  return out;
}

std::vector<std::string> flag_names(const CLI::App& app) {
  std::vector<std::string> out;
  for (const CLI::App* at = &app; at != nullptr; at = at->get_parent())
    for (const CLI::Option* option : at->get_options())
      for (const std::string& name : option->get_lnames()) out.push_back("--" + name);
  return out;
}

std::string suggestion(const std::string& given, const std::vector<std::string>& known) {
  const std::string near = nearest_name(given, known);
  return near.empty() ? "" : ", did you mean '" + near + "'?";
}

}  // namespace

void describe(Fields& fields, GeneralOptions& options) {
  fields.heading(kGeneral);
  fields.add("verbose", options.verbose, "say more on stderr").not_saved();
  fields.add("quiet", options.quiet, "only warnings and errors on stderr").not_saved();
  fields.add("json", options.json, "JSON on stdout").not_saved();
  fields.add("seed", options.seed, "seed of everything random; -1: a fresh one, which is printed").min(-1);
  fields.add("threads", options.threads, "threads; 0: all").min(0).max(1024).not_saved();
  fields.add("device", options.device, "cpu, cuda, cuda:N or auto").metavar("NAME").not_saved();
}

void resolve(Fields& fields, const std::string& config_path) {
  if (!config_path.empty()) fields.set_from(read_toml(config_path), Origin::file, config_path);
  fields.set_from_environment();
  fields.set_from_flags();
}

int64_t threads_of(const GeneralOptions& general) {
  return general.threads > 0 ? general.threads : std::max<int64_t>(1, std::thread::hardware_concurrency());
}

uint64_t first_seed(const GeneralOptions& general) {
  if (general.seed >= 0) return static_cast<uint64_t>(general.seed);
  const uint64_t seed = fresh_seed();
  log_info(str("seed ", seed));
  return seed;
}

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
    throw FileError("stdout", "", str("write error: ", std::strerror(errno)), "", ExitCode::io);
}

void set_examples(CLI::App& app, const std::string& examples) {
  app.footer(examples);
}

void prepare_parser(CLI::App& app) {
  auto formatter = std::make_shared<HelpFormatter>();
  formatter->column_width(32);
  formatter->label("REQUIRED", "(required)");
  app.formatter(formatter);
  app.name("aot");
  app.set_help_flag("--help,-h", "show this text");
  app.set_version_flag("--version", "aot " AOT_VERSION, "show the version");
  app.fallthrough();  // general flags are known after the subcommand too
}

void throw_usage(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& at = deepest(app);
  const std::string help = "see " + full_name(at) + " --help";
  const std::vector<std::string> subcommands = subcommand_names(at);
  const std::vector<std::string> remaining = app.remaining(true);
  if (!remaining.empty()) {
    const std::string& given = remaining.front();
    if (given.rfind('-', 0) == 0 && given.size() > 1) {
      const std::string name = given.substr(0, given.find('='));
      throw UsageError(str("unknown flag '", name, "'", suggestion(name, flag_names(at))), help);
    }
    if (!subcommands.empty() && at.get_subcommands().empty())
      throw UsageError(str("unknown subcommand '", given, "'", suggestion(given, subcommands)), help);
    if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) throw UsageError(str("unexpected argument '", given, "'"), help);
  }
  if (!subcommands.empty()) throw UsageError(str(full_name(at), " needs a subcommand: ", joined(subcommands)), help);
  throw UsageError(error.what(), help);
}

}  // namespace aot
