// SPDX-License-Identifier: Apache-2.0
// SIGINT and SIGTERM ask for a stop; the work saves and ends at its next safe point. A second signal ends at once.
#pragma once

namespace aot {

/// Installs the handlers. Call once, before threads start.
void catch_stop_signals();
/// The signal that asked for a stop, or 0.
int stop_signal();
/// For a program that goes on after a stop.
void forget_stop_signal();

}  // namespace aot
