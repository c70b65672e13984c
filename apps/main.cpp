// SPDX-License-Identifier: Apache-2.0
#include <malloc.h>

#include <csignal>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <new>
#include <string_view>

#include <c10/util/Exception.h>

#include "aot/core/device.h"
#include "aot/core/log.h"
#include "aot/core/signals.h"
#include "aot/io/error.h"
#include "apps/command.h"

namespace aot {

#define AOT_SUBCOMMAND(name, summary) void add_##name(Subcommand& command);
#include "apps/subcommands.def"
#undef AOT_SUBCOMMAND

namespace {

int fail(ExitCode code, std::string_view line) {
  std::fprintf(stderr, "aot: error: %s\n", escaped(line, 285).c_str());
  return static_cast<int>(code);
}

int fail(const c10::Error& error) {
  log_detail(error.what());
  const std::string problem = error.what_without_backtrace();
  // LibTorch's CPU allocator throws its general error type.
  const bool memory = dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr || problem.find("allocate memory") != std::string::npos;
  return memory ? fail(ExitCode::io, "out of memory: " + problem) : fail(ExitCode::failed, problem);
}

/// What the name itself makes impossible is a bad file; the rest is the machine's.
int fail(const std::filesystem::filesystem_error& error) {
  const std::error_code& reason = error.code();
  const bool bad_name = reason == std::errc::no_such_file_or_directory || reason == std::errc::not_a_directory ||
                        reason == std::errc::is_a_directory || reason == std::errc::filename_too_long ||
                        reason == std::errc::too_many_symbolic_link_levels;
  const FileError shown(error.path1().string(), "", reason.message(), "", bad_name ? ExitCode::bad_file : ExitCode::io);
  return fail(shown.code, shown.what());
}

void run(int argc, char** argv) {
  CLI::App app{"aot trains, runs, explains and checks attention-only transformers."};
  prepare_parser(app);
  app.require_subcommand(1);
  set_examples(app,
               "aot data prepare book.txt --tokenizer byte --out data\n"
               "aot train --data data --out run --preset aot-mssa-gated-tiny\n"
               "aot generate --model run --prompt \"Once\" --tokens 200\n"
               "aot eval text --model run --data data\n"
               "aot train --help\n");

  GeneralOptions general;
  Fields general_fields;
  describe(general_fields, general);
  general_fields.add_flags(app);

  std::deque<Subcommand> subcommands;
  const auto add = [&](const char* name, const char* summary, void (*add_to)(Subcommand&)) {
    CLI::App& sub = *app.add_subcommand(name, summary);
    add_to(subcommands.emplace_back(Subcommand{sub, general}));
    if (!sub.get_subcommands([](const CLI::App*) { return true; }).empty()) sub.require_subcommand(1);
  };
#define AOT_SUBCOMMAND(name, summary) add(#name, summary, add_##name);
#include "apps/subcommands.def"
#undef AOT_SUBCOMMAND

  // CLI11 calls this after all flags are read and before the callbacks of subcommands.
  app.parse_complete_callback([&] {
    resolve(general_fields);
    if (general.quiet && general.verbose) throw UsageError("--quiet and --verbose exclude each other");
    set_verbosity(general.quiet ? Verbosity::quiet : general.verbose ? Verbosity::verbose : Verbosity::normal);
    set_threads(general.threads);
  });
  try {
    if (argc <= 1) throw CLI::CallForHelp();
    app.parse(argc, argv);
  } catch (const CLI::Success& wanted) {  // --help, --version
    app.exit(wanted);
  } catch (const CLI::ParseError& error) {
    throw_usage(app, error);
  }
}

}  // namespace
}  // namespace aot

int main(int argc, char** argv) {
  using aot::ExitCode;
  // LibTorch's blocks above 32 MB go back to the kernel at each free otherwise, and every step pays for fresh pages again.
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, 2147483647);
  std::signal(SIGPIPE, SIG_IGN);  // a reader that went away is a write error; a log that nobody reads ends no training
  try {
    aot::run(argc, argv);
    aot::print("");  // what help left in the buffer
    const int signal = aot::stop_signal();
    return signal != 0 ? 128 + signal : 0;
  } catch (const aot::Error& error) {
    return aot::fail(error.code, error.what());
  } catch (const c10::Error& error) {
    return aot::fail(error);
  } catch (const std::filesystem::filesystem_error& error) {
    return aot::fail(error);
  } catch (const std::bad_alloc&) {
    return aot::fail(ExitCode::io, "out of memory");
  } catch (const std::exception& error) {
    return aot::fail(ExitCode::failed, error.what());
  }
}
