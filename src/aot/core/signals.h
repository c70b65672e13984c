// SPDX-License-Identifier: Apache-2.0
// SIGINT and SIGTERM ask for a stop; the work saves and ends at its next safe point. A second signal ends at once.
#pragma once

#include <csignal>

namespace aot {

/// Installs the handlers. Call once, before threads start.
void catch_stop_signals();
/// The signal that asked for a stop, or 0.
int stop_signal();
/// For a program that goes on after a stop.
void forget_stop_signal();

/// Blocks every signal while in scope; a thread started meanwhile keeps them blocked, so that signals reach the main thread only.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

 private:
  sigset_t before_ = {};
};

}  // namespace aot
