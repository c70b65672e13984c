// SPDX-License-Identifier: Apache-2.0
#include "aot/train/task.h"

#include "aot/core/text.h"
#include "aot/io/error.h"
#include "aot/models/checkpoint.h"

namespace aot {

#define AOT_TASK(name) TaskEntry name##_task();
#include "aot/train/tasks.def"
#undef AOT_TASK

void Task::start_from(const std::string& checkpoint) {
  load_weights(checkpoint, parameters());
}

const std::vector<TaskEntry>& tasks() {
  static const std::vector<TaskEntry> entries = {
#define AOT_TASK(name) name##_task(),
#include "aot/train/tasks.def"
#undef AOT_TASK
  };
  return entries;
}

const TaskEntry& task_named(std::string_view name) {
  std::vector<std::string> known;
  for (const TaskEntry& entry : tasks()) {
    if (entry.name == name) return entry;
    known.push_back(entry.name);
  }
  throw UsageError(str("unknown task '", name, "'"), "known: " + joined(known, ", "));
}

}  // namespace aot
