// SPDX-License-Identifier: Apache-2.0
#include "apps/task_flags.h"

#include <algorithm>

#include "aot/io/error.h"

namespace aot {
void TaskFlags::add(CLI::App& app, const std::vector<std::pair<std::string, Fields*>>& tasks) {
  for (const auto& [task, fields] : tasks) {
    for (const Field& field : fields->all()) {
      const std::string name = field.name;
      if (app.get_option_no_throw("--" + name) != nullptr) continue;  // that of a task before
      Field shown = field;
      size_t owners = 0;
      for (const auto& [other, others] : tasks) {
        const Field* same = others->find(name);
        if (same == nullptr) continue;
        ++owners;
        for (const std::string& choice : same->allowed)
          if (std::find(shown.allowed.begin(), shown.allowed.end(), choice) == shown.allowed.end()) shown.allowed.push_back(choice);
      }
      std::string help = field.help;
      if (owners == 1 && tasks.size() > 1) help += " (" + task + ")";
      const auto keep = [this, name](const std::string& text) { given_.emplace_back(name, text); };
      if (field.type == Field::Type::flag) {
        // CLI11 gives a positive count for --x, a negative one for --no-x.
        app.add_flag_function(
               "--" + name + ",!--no-" + name, [keep](int64_t count) { keep(count > 0 ? "true" : "false"); },
               std::get<bool>(field.value()) ? help + " [on]" : help)
            ->group(field.heading);
      } else {
        const Value value = field.value();
        const std::string standard = std::holds_alternative<std::string>(value) ? std::get<std::string>(value) : toml_text(value);
        app.add_option_function<std::string>("--" + name, keep, standard.empty() ? help : help + " [" + standard + "]")
            ->type_name(shown.type_name())
            ->group(field.heading);
      }
    }
  }
}

std::string TaskFlags::text(std::string_view name) const {
  std::string found = Fields().early_text(name);  // the environment's: it has no flags
  for (const auto& [flag, text] : given_)
    if (flag == name) found = text;
  return found;
}

void TaskFlags::refuse(const std::string& why, const std::string& hint) const {
  if (!given_.empty()) throw UsageError("--" + given_.front().first + ": " + why, hint);
}

void TaskFlags::set(Fields& fields, const std::string& task) const {
  for (const auto& [name, text] : given_) {
    Field* field = fields.find(name);
    if (field == nullptr) throw UsageError("--" + name + " is not for models of the task " + task);
    field->set_text(text, Origin::flag, "--" + name);
  }
}

}  // namespace aot
