// SPDX-License-Identifier: Apache-2.0
// aot verify: steps of a run done once more, and compared with its record.
#include "aot/train/verify.h"

#include <algorithm>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "aot/core/device.h"
#include "aot/core/log.h"
#include "aot/core/signals.h"
#include "aot/core/text.h"
#include "aot/io/error.h"
#include "apps/command.h"

namespace aot {
namespace {

constexpr size_t kShown = 10;  // differences in text

struct State {
  VerifyRequest request;
  Fields fields;
};

/// One difference as a line.
std::string line_of(const Departure& departure) {
  return fmt::format("step {}: {}: recorded {}, repeated {}", departure.step, departure.place, dump_json(departure.recorded),
                     dump_json(departure.repeated));
}

std::string text_of(const VerifyRequest& request, const Verification& done) {
  std::string out = fmt::format("{}: steps {} to {} repeated\n", escaped(request.run), request.from + 1, request.from + done.steps);
  out += fmt::format("metrics   {} rows compared: loss, learning rate, norm of the gradient\n", done.rows);
  for (const ComparedCheckpoint& one : done.checkpoints)
    out += fmt::format("step {:<6} {} of {} tensors of model and optimizer have the recorded digest\n", one.step, one.equal, one.tensors);
  for (size_t i = 0; i < std::min(kShown, done.departures.size()); ++i) out += line_of(done.departures[i]) + "\n";
  if (done.departures.size() > kShown) out += fmt::format("and {} more\n", done.departures.size() - kShown);
  return out + (done.equal() ? "equal to the bit\n" : "");
}

void run_verify(State& state, const GeneralOptions& general) {
  resolve(state.fields);
  VerifyRequest& request = state.request;
  if (request.run.empty() || request.from < 0 || request.steps < 1)
    throw UsageError("verify needs RUN, --from STEP and --steps N", "e.g. aot verify run --from 500 --steps 100");
  request.threads = general.threads;
  request.device = parse_device(general.device);
  catch_stop_signals();
  const std::optional<Verification> done = verify(request);
  if (!done) return log_warning("stopped before the last step: nothing is known");
  print(general.json ? dump_json(verification_json(request, *done)) + "\n" : text_of(request, *done));
  if (const size_t count = done->departures.size(); count > 0)
    throw Error(ExitCode::failed,
                fmt::format("verify: {} difference{}, the first at {}", count, count == 1 ? "" : "s", line_of(done->departures.front())),
                joined(done->machine));
}

}  // namespace

void add_verify(Subcommand& command) {
  const auto state = std::make_shared<State>();
  set_examples(command.app,
               "aot verify run --from 500 --steps 100         step 500's checkpoint trained on, and compared with the run\n"
               "aot verify run --from 0 --steps 50 --json     from the untrained model on\n");
  command.app.add_option("run", state->request.run, "run folder, which is only read");
  state->fields.heading("Verify");
  state->fields.add("from", state->request.from, "step of the checkpoint to start from").min(-1).max(1e12).metavar("STEP");
  state->fields.add("steps", state->request.steps, "steps to repeat").min(0).max(1e12);
  state->fields.add("data", state->request.data, "where the run's data is now, when it has moved").metavar("DIR");
  state->fields.add_flags(command.app);
  command.app.callback([state, &general = command.general] { run_verify(*state, general); });
}

}  // namespace aot
