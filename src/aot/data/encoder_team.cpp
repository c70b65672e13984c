// SPDX-License-Identifier: Apache-2.0
#include "aot/data/encoder_team.h"

#include <algorithm>
#include <atomic>
#include <system_error>
#include <thread>

#include "aot/core/signals.h"
#include "aot/io/error.h"

namespace aot {
namespace {

constexpr size_t kTaskBytes = 256u << 10;  // some ten milliseconds, a hundred times what it takes to start a thread

}  // namespace

size_t safe_length(const Tokenizer& tokenizer, std::string_view text, size_t wanted) {
  for (size_t seen = wanted; seen < text.size(); seen *= 2)
    if (const size_t cut = tokenizer.safe_cut(text.substr(0, seen)); cut > 0) return cut;
  return text.size();
}

EncoderTeam::EncoderTeam(const Tokenizer& tokenizer, int64_t threads)
    : tokenizer_(tokenizer), threads_(static_cast<size_t>(std::max<int64_t>(threads, 1))) {}

void EncoderTeam::divide(const std::vector<TextPart>& parts) {
  task_count_ = 0;
  size_t bytes = kTaskBytes;  // in the last task
  const auto add = [&](TextPart part) {
    if (bytes >= kTaskBytes) {
      if (task_count_ == tasks_.size()) tasks_.emplace_back();
      tasks_[task_count_].parts.clear();
      ++task_count_;
      bytes = 0;
    }
    bytes += part.text.size();
    tasks_[task_count_ - 1].parts.push_back(part);
  };
  for (TextPart part : parts) {
    while (part.text.size() > kTaskBytes) {
      const size_t length = safe_length(tokenizer_, part.text, kTaskBytes);
      add({part.text.substr(0, length), part.starts});
      bytes = kTaskBytes;
      part = {part.text.substr(length), false};
    }
    if (!part.text.empty() || part.starts) add(part);
  }
}

void EncoderTeam::run(Task& task, Encoder& encoder, const std::vector<int32_t>& separator) {
  task.ids.clear();
  task.error = nullptr;
  try {
    for (const TextPart& part : task.parts) {
      if (part.starts) task.ids.insert(task.ids.end(), separator.begin(), separator.end());
      encoder.encode(part.text, task.ids);
    }
  } catch (...) {
    task.error = std::current_exception();
  }
}

void EncoderTeam::encode(const std::vector<TextPart>& parts, const std::vector<int32_t>& separator,
                         const std::function<void(const std::vector<int32_t>&)>& take) {
  divide(parts);
  const size_t wanted = std::min(threads_, task_count_);
  while (encoders_.size() < wanted) encoders_.push_back(tokenizer_.encoder());
  std::atomic<size_t> next = 0;
  const auto work = [&](size_t encoder) {
    for (size_t task = next++; task < task_count_; task = next++) run(tasks_[task], *encoders_[encoder], separator);
  };
  {
    const BlockedSignals blocked;  // they are for the main thread
    std::vector<std::jthread> threads;
    try {
      for (size_t i = 1; i < wanted; ++i) threads.emplace_back(work, i);
    } catch (const std::system_error&) {
      // No more threads to be had: those that run take all tasks.
    }
    work(0);
  }
  for (size_t task = 0; task < task_count_; ++task) {
    if (tasks_[task].error) std::rethrow_exception(tasks_[task].error);
    take(tasks_[task].ids);
  }
}

std::vector<int32_t> encode_by_threads(const Tokenizer& tokenizer, std::string_view text, int64_t threads) {
  if (text.size() <= kTaskBytes) return tokenizer.encode(text);
  std::vector<int32_t> ids;
  try {
    EncoderTeam(tokenizer, threads).encode({{text, true}}, {}, [&ids](const std::vector<int32_t>& more) {
      ids.insert(ids.end(), more.begin(), more.end());
    });
  } catch (const Error&) {
    return tokenizer.encode(text);  // says it again, with its place in the whole text
  }
  return ids;
}

}  // namespace aot
