// SPDX-License-Identifier: Apache-2.0
#include "aot/core/signals.h"

#include <unistd.h>
#include <csignal>

namespace aot {
namespace {

volatile std::sig_atomic_t g_signal = 0;

void on_signal(int number) {
  if (g_signal != 0) _exit(128 + number);
  g_signal = number;
}

}  // namespace

void catch_stop_signals() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

int stop_signal() {
  return g_signal;
}

void forget_stop_signal() {
  g_signal = 0;
}

}  // namespace aot
