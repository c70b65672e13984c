// SPDX-License-Identifier: Apache-2.0
// What the files of this folder share: each binds one room of the library. They parse, call and hand over; names, defaults and shapes are
// those of the C++. Long calls leave Python's lock and look for its signals now and then.
#pragma once

#include <string>

#include <torch/csrc/utils/pybind.h>

#include "aot/core/options.h"

namespace aot {

void bind_models(py::module_& module);
void bind_generate(py::module_& module);
void bind_data(py::module_& module);
void bind_theory(py::module_& module);

/// Lets Python handle the signals that came: throws what its handler throws, KeyboardInterrupt on Ctrl-C. With or without the lock.
void poll_signals();

/// Sets fields by Python's keywords; `function` is named when one does not fit. Throws UsageError.
void set_keywords(Fields& fields, const py::kwargs& keywords, const std::string& function);

/// The same for settings that `describe` knows.
template <class Options>
void set_keywords(Options& options, const py::kwargs& keywords, const std::string& function) {
  Fields fields;
  describe(fields, options);
  set_keywords(fields, keywords, function);
}

/// The saved fields as a dictionary.
py::dict dictionary_of(Fields& fields);

template <class Options>
py::dict settings_of(Options options) {
  Fields fields;
  describe(fields, options);
  return dictionary_of(fields);
}

/// The result of `work`, done without Python's lock.
template <class Work>
auto unlocked(const Work& work) {
  const py::gil_scoped_release no_lock;
  return work();
}

}  // namespace aot
