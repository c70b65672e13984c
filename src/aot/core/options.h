// SPDX-License-Identifier: Apache-2.0
// One description of an options struct serves flags, help, TOML, environment, and saved configuration (docs/core.md).
//
//   struct TrainOptions { int64_t steps = 2000; };
//   void describe(Fields& fields, TrainOptions& o) { fields.add("steps", o.steps, "optimizer steps in all").min(1); }
//
// A Fields holds pointers into the structs it describes and must not outlive them.
#pragma once

#include <deque>
#include <functional>
#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "aot/io/toml.h"

namespace CLI {
class App;
}

namespace aot {

/// Who set a field, weakest first: a later origin overrides an earlier one.
enum class Origin { default_value, preset, file, environment, flag };

class Field {
 public:
  enum class Type { flag, integer, number, text };

  /// Smallest and largest value allowed (inclusive).
  Field& min(double smallest);
  Field& max(double largest);
  /// The value must be strictly above `bound`.
  Field& above(double bound);
  /// Texts allowed, in the order that help shows them.
  Field& choices(std::vector<std::string> allowed);
  /// What help shows for the value, e.g. "DIR".
  Field& metavar(std::string shown);
  /// A field of one command invocation that a saved configuration leaves out, e.g. `json`.
  Field& not_saved();
  Field& group(std::string heading);

  /// Sets the value if `origin` is at least as strong as the one that set it before.
  /// Throws UsageError naming `where` when type, range or choice do not fit.
  void set(const Value& value, Origin origin, const std::string& where);
  /// The same from text, as flags and environment variables give it.
  void set_text(const std::string& text, Origin origin, const std::string& where);
  [[nodiscard]] Value value() const { return get_(); }
  /// What the type is called in help: the choices, or INT, X, TEXT.
  [[nodiscard]] std::string type_name() const;

  std::string name;  // spelled with '-'; files spell it with '_'
  std::string help;
  std::string heading;
  Type type = Type::text;
  Origin origin = Origin::default_value;
  bool saved = true;
  std::vector<std::string> allowed;

 private:
  friend class Fields;
  double min_ = -std::numeric_limits<double>::infinity();
  double max_ = std::numeric_limits<double>::infinity();
  bool min_excluded_ = false;
  std::string metavar_;
  std::function<Value()> get_;
  std::function<void(const Value&)> assign_;
};

class Fields {
 public:
  /// Describes a bool, int64_t, double or std::string. Optional numbers are spelled by a documented sentinel, e.g. 0.
  template <class T>
  Field& add(std::string name, T& target, std::string help) {  // NOLINT: moved
    static_assert(std::is_same_v<T, bool> || std::is_same_v<T, int64_t> || std::is_same_v<T, double> || std::is_same_v<T, std::string>);
    constexpr Field::Type type = std::is_same_v<T, bool>      ? Field::Type::flag
                                 : std::is_same_v<T, int64_t> ? Field::Type::integer
                                 : std::is_same_v<T, double>  ? Field::Type::number
                                                              : Field::Type::text;
    return insert(
        std::move(name), type, std::move(help), [&target] { return Value(target); },
        [&target](const Value& value) { target = std::get<T>(value); });
  }

  /// Describes an enum by the texts that stand for its values.
  template <class E>
  Field& add(std::string name, E& target, std::vector<std::pair<std::string, E>> names, std::string help) {  // NOLINT: moved
    std::vector<std::string> texts;
    for (const auto& [text, value] : names) texts.push_back(text);
    Field& field = insert(
        std::move(name), Field::Type::text, std::move(help),
        [&target, names] {
          for (const auto& [text, value] : names)
            if (value == target) return Value(text);
          return Value(std::string());
        },
        [&target, names](const Value& wanted) {
          for (const auto& [text, value] : names)
            if (text == std::get<std::string>(wanted)) target = value;
        });
    return field.choices(std::move(texts));
  }

  /// Fields added from here on stand under this heading in help.
  void heading(std::string text) { heading_ = std::move(text); }

  Field* find(std::string_view name);  // with '-' or '_'; null when unknown
  Field& at(std::string_view name);    // throws UsageError naming the nearest known one
  [[nodiscard]] std::vector<std::string> names() const;
  std::deque<Field>& all() { return fields_; }

  /// Adds one flag per field to `app` (`--no-NAME` too where the field is a bool). The texts given are kept and set by `resolve`.
  void add_flags(CLI::App& app);

  /// Sets from configuration entries read from `path`. Unknown keys throw with the nearest known one.
  void set_from(const std::vector<TomlEntry>& entries, Origin origin, const std::string& path);
  /// Sets from `AOT_NAME` environment variables.
  void set_from_environment();
  /// Sets what the command line gave.
  void set_from_flags();
  /// The text that flag or environment gives for `name` before anything is resolved, or empty: for `--preset` and `--config`.
  [[nodiscard]] std::string early_text(std::string_view name) const;

  /// All saved fields as flat TOML, under their headings as comments.
  [[nodiscard]] std::string to_toml() const;
  [[nodiscard]] std::vector<TomlEntry> entries() const;

 private:
  Field& insert(std::string name, Field::Type type, std::string help, std::function<Value()> get, std::function<void(const Value&)> assign);

  std::deque<Field> fields_;  // a deque: flags keep references
  std::vector<std::pair<std::string, std::string>> flag_texts_;
  std::string heading_;
};

/// The entries whose values differ from a default-constructed struct are not needed: every saved field is written.
template <class Options>
std::string describe_as_toml(Options options) {
  Fields fields;
  describe(fields, options);
  return fields.to_toml();
}

}  // namespace aot
