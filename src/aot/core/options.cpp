// SPDX-License-Identifier: Apache-2.0
#include "aot/core/options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include <CLI/CLI.hpp>

#include "aot/core/text.h"
#include "aot/io/error.h"

namespace aot {
namespace {

std::string with_underscores(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

std::string environment_name(const std::string& name) {
  std::string out = "AOT_" + with_underscores(name);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return out;
}

template <class Number>
bool parse_whole(const std::string& text, Number& number) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  return result.ec == std::errc() && result.ptr == text.data() + text.size() && !text.empty();
}

const char* wanted(Field::Type type) {
  switch (type) {
    case Field::Type::flag:
      return "true or false";
    case Field::Type::integer:
      return "an integer";
    case Field::Type::number:
      return "a number";
    case Field::Type::text:
      return "a text";
  }
  return "";
}

std::string shown(const Value& value) {
  return std::holds_alternative<std::string>(value) ? "'" + std::get<std::string>(value) + "'" : toml_text(value);
}

}  // namespace

Field& Field::min(double smallest) {
  min_ = smallest;
  return *this;
}
Field& Field::max(double largest) {
  max_ = largest;
  return *this;
}
Field& Field::above(double bound) {
  min_ = bound;
  min_excluded_ = true;
  return *this;
}
Field& Field::choices(std::vector<std::string> texts) {
  allowed = std::move(texts);
  return *this;
}
Field& Field::metavar(std::string text) {
  metavar_ = std::move(text);
  return *this;
}
Field& Field::not_saved() {
  saved = false;
  return *this;
}
Field& Field::group(std::string text) {
  heading = std::move(text);
  return *this;
}

std::string Field::type_name() const {
  if (!allowed.empty()) return joined(allowed, "|");
  if (!metavar_.empty()) return metavar_;
  return type == Type::integer ? "N" : type == Type::number ? "X" : type == Type::text ? "TEXT" : "";
}

void Field::set(const Value& given, Origin given_origin, const std::string& where) {
  Value converted = given;
  if (type == Type::number && std::holds_alternative<int64_t>(given)) converted = static_cast<double>(std::get<int64_t>(given));
  const bool fits = type == Type::flag      ? std::holds_alternative<bool>(converted)
                    : type == Type::integer ? std::holds_alternative<int64_t>(converted)
                    : type == Type::number  ? std::holds_alternative<double>(converted)
                                            : std::holds_alternative<std::string>(converted);
  if (!fits) throw UsageError(str(where, ": need ", wanted(type), " (found ", shown(given), ")"));
  if (type == Type::integer || type == Type::number) {
    const double number = type == Type::integer ? static_cast<double>(std::get<int64_t>(converted)) : std::get<double>(converted);
    if (!std::isfinite(number)) throw UsageError(str(where, ": need a finite number (found ", shown(given), ")"));
    if (number < min_ || (min_excluded_ && number == min_))
      throw UsageError(str(where, ": too small (found ", shown(given), ", need ", min_excluded_ ? "more than " : "at least ", min_, ")"));
    if (number > max_) throw UsageError(str(where, ": too large (found ", shown(given), ", need at most ", max_, ")"));
  }
  if (!allowed.empty()) {
    const auto& text = std::get<std::string>(converted);
    if (std::find(allowed.begin(), allowed.end(), text) == allowed.end())
      throw UsageError(str(where, ": unknown value '", text, "', need one of ", joined(allowed, ", ")));
  }
  if (given_origin < origin) return;
  assign_(converted);
  origin = given_origin;
}

void Field::set_text(const std::string& text, Origin given_origin, const std::string& where) {
  Value parsed = text;
  if (type == Type::flag) {
    if (text == "true" || text == "1" || text == "yes" || text == "on") parsed = true;
    if (text == "false" || text == "0" || text == "no" || text == "off") parsed = false;
  } else if (type == Type::integer) {
    if (int64_t number = 0; parse_whole(text, number)) parsed = number;
  } else if (type == Type::number) {
    if (double number = 0; parse_whole(text, number)) parsed = number;
  }
  set(parsed, given_origin, where);
}

Field& Fields::insert(std::string name, Field::Type type, std::string help, std::function<Value()> get,
                      std::function<void(const Value&)> assign) {
  Field& field = fields_.emplace_back();
  field.name = std::move(name);
  field.type = type;
  field.help = std::move(help);
  field.heading = heading_;
  field.get_ = std::move(get);
  field.assign_ = std::move(assign);
  return field;
}

Field* Fields::find(std::string_view name) {
  const std::string wanted_name = with_underscores(std::string(name));
  for (Field& field : fields_)
    if (with_underscores(field.name) == wanted_name) return &field;
  return nullptr;
}

Field& Fields::at(std::string_view name) {
  if (Field* field = find(name)) return *field;
  const std::string near = nearest_name(name, names());
  throw UsageError(str("unknown setting '", name, "'", near.empty() ? "" : ", did you mean '" + near + "'?"));
}

std::vector<std::string> Fields::names() const {
  std::vector<std::string> out;
  for (const Field& field : fields_) out.push_back(field.name);
  return out;
}

void Fields::add_flags(CLI::App& app) {
  for (Field& field : fields_) {
    const std::string name = field.name;
    std::string text = field.help;
    CLI::Option* option = nullptr;
    if (field.type == Field::Type::flag) {
      // CLI11 gives "true" for --x, "false" for --no-x.
      const bool on = std::get<bool>(field.value());
      option = app.add_flag_function(
          "--" + name + ",!--no-" + name, [this, name](int64_t count) { flag_texts_.emplace_back(name, count > 0 ? "true" : "false"); },
          text);
      if (on) option->description(text + " [on]");
    } else {
      option = app.add_option_function<std::string>(
          "--" + name, [this, name](const std::string& given) { flag_texts_.emplace_back(name, given); }, text);
      option->type_name(field.type_name());
      const Value value = field.value();
      const std::string standard = std::holds_alternative<std::string>(value) ? std::get<std::string>(value) : toml_text(value);
      if (!standard.empty()) option->description(text + " [" + standard + "]");
    }
    if (!field.heading.empty()) option->group(field.heading);
  }
}

void Fields::set_from(const std::vector<TomlEntry>& entries, Origin origin, const std::string& path) {
  for (const TomlEntry& entry : entries) {
    const std::string where = str(path, ": line ", entry.line, ": key '", entry.key, "'");
    Field* field = find(entry.key);
    if (field == nullptr) {
      std::vector<std::string> known;
      for (const Field& f : fields_) known.push_back(with_underscores(f.name));
      const std::string near = nearest_name(entry.key, known);
      throw UsageError(
          str(path, ": line ", entry.line, ": unknown key '", entry.key, "'", near.empty() ? "" : ", did you mean '" + near + "'?"),
          near.empty() ? "known keys are the flags that --help shows, with _ for -" : "");
    }
    field->set(entry.value, origin, where);
  }
}

void Fields::set_from_environment() {
  for (Field& field : fields_) {
    const std::string name = environment_name(field.name);
    if (const char* text = std::getenv(name.c_str())) field.set_text(text, Origin::environment, "environment " + name);
  }
}

void Fields::set_from_flags() {
  for (const auto& [name, text] : flag_texts_) at(name).set_text(text, Origin::flag, "--" + name);
}

std::string Fields::early_text(std::string_view name) const {
  std::string found;
  if (const char* text = std::getenv(environment_name(std::string(name)).c_str())) found = text;
  for (const auto& [flag, text] : flag_texts_)
    if (flag == name) found = text;
  return found;
}

std::vector<TomlEntry> Fields::entries() const {
  std::vector<TomlEntry> out;
  for (const Field& field : fields_)
    if (field.saved) out.push_back({with_underscores(field.name), field.value(), 0});
  return out;
}

std::string Fields::to_toml() const {
  std::string out, heading;
  for (const Field& field : fields_) {
    if (!field.saved) continue;
    if (field.heading != heading) {
      heading = field.heading;
      out += (out.empty() ? "# " : "\n# ") + heading + "\n";
    }
    out += with_underscores(field.name) + " = " + toml_text(field.value()) + "\n";
  }
  return out;
}

}  // namespace aot
