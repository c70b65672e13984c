// SPDX-License-Identifier: Apache-2.0
#include <malloc.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>

#include <c10/util/Exception.h>

#include "aot/core/device.h"
#include "aot/core/log.h"
#include "aot/core/signals.h"
#include "aot/io/error.h"
#include "aot/io/file.h"
#include "apps/command.h"

namespace aot {

#define AOT_SUBCOMMAND(name, summary) void add_##name(Subcommand& command);
#include "apps/subcommands.def"
#undef AOT_SUBCOMMAND

void describe(Fields& fields, GeneralOptions& options) {
  fields.heading("General");
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

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    throw FileError("stdout", "", str("write error: ", std::strerror(errno)), "", ExitCode::io);
}

void set_examples(CLI::App& app, const std::string& examples) {
  app.description("Examples:\n" + examples + "\n" + app.get_description());
}

namespace {

void print_error(const std::string& line) {
  std::fprintf(stderr, "aot: error: %s\n", line.substr(0, 300).c_str());
}

int run(int argc, char** argv) {
  CLI::App app{"aot trains, runs, explains and checks attention-only transformers."};
  app.name("aot");
  app.set_version_flag("--version", "aot " AOT_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  app.set_help_all_flag("--help-all", "help of every subcommand");

  GeneralOptions general;
  Fields general_fields;
  describe(general_fields, general);
  general_fields.add_flags(app);

  const auto start = [&general, &general_fields] {
    resolve(general_fields);
    set_verbosity(general.quiet ? Verbosity::quiet : general.verbose ? Verbosity::verbose : Verbosity::normal);
    set_threads(general.threads);
  };
#define AOT_SUBCOMMAND(name, summary)                   \
  {                                                     \
    CLI::App* sub = app.add_subcommand(#name, summary); \
    sub->fallthrough();                                 \
    sub->preparse_callback([](size_t) {});              \
    Subcommand command{*sub, general};                  \
    add_##name(command);                                \
  }
#include "apps/subcommands.def"
#undef AOT_SUBCOMMAND

  app.parse_complete_callback(start);  // before the callbacks of subcommands, which run at the end of parsing
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForAllHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForVersion& version) {
    return app.exit(version);
  } catch (const CLI::ParseError& error) {
    print_error(str(escaped(error.what()), "; see aot --help"));
    return static_cast<int>(ExitCode::usage);
  }
  return 0;
}

}  // namespace
}  // namespace aot

int main(int argc, char** argv) {
  // LibTorch's blocks above 32 MB go back to the kernel at each free otherwise, and every step pays for fresh pages again.
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, 2147483647);
  try {
    const int code = aot::run(argc, argv);
    const int signal = aot::stop_signal();
    return signal != 0 && code == 0 ? 128 + signal : code;
  } catch (const aot::Error& error) {
    aot::print_error(error.what());
    return static_cast<int>(error.code);
  } catch (const c10::OutOfMemoryError& error) {
    aot::print_error(std::string("out of memory: ") + error.what_without_backtrace());
    return static_cast<int>(aot::ExitCode::io);
  } catch (const c10::Error& error) {
    aot::print_error(aot::escaped(error.what_without_backtrace(), 280));
    return static_cast<int>(aot::ExitCode::failed);
  } catch (const std::bad_alloc&) {
    aot::print_error("out of memory");
    return static_cast<int>(aot::ExitCode::io);
  } catch (const std::exception& error) {
    aot::print_error(aot::escaped(error.what(), 280));
    return static_cast<int>(aot::ExitCode::failed);
  }
}
