// SPDX-License-Identifier: Apache-2.0
// The extension module aot._aot: errors, keywords, signals; what it holds is bound by the other files.
#include <algorithm>

#include <c10/util/Exception.h>
#include <torch/csrc/Exceptions.h>

#include "aot/core/machine.h"
#include "aot/io/error.h"
#include "python/bindings/bindings.h"

namespace aot {
namespace {

/// Python's exception for each of ours, with the same text. LibTorch's come without their stack of C++ calls.
void translate(std::exception_ptr pending) {
  const auto raise = [](PyObject* type, const char* text) { PyErr_SetString(type, text); };
  try {
    if (pending) std::rethrow_exception(pending);
  } catch (const UsageError& error) {
    raise(PyExc_ValueError, error.what());
  } catch (const FileError& error) {
    const bool missing = error.problem.rfind("no such file", 0) == 0;
    raise(missing ? PyExc_FileNotFoundError : PyExc_OSError, error.what());
  } catch (const Error& error) {
    raise(PyExc_RuntimeError, error.what());
  } catch (const c10::Error&) {
    torch::translate_exception_to_python(std::current_exception());
  }
}

Value value_of(const py::handle& object, const std::string& where) {
  if (PyBool_Check(object.ptr())) return object.cast<bool>();
  if (PyUnicode_Check(object.ptr())) return object.cast<std::string>();
  if (PyFloat_Check(object.ptr())) return object.cast<double>();
  if (PyIndex_Check(object.ptr())) return py::int_(py::reinterpret_borrow<py::object>(object)).cast<int64_t>();
  throw UsageError(where + ": need a number, a text or a bool (found " + py::str(py::type::of(object)).cast<std::string>() + ")");
}

py::object object_of(const Value& value) {
  return std::visit([](const auto& held) -> py::object { return py::cast(held); }, value);
}

std::string with_underscores(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

}  // namespace

void poll_signals() {
  const py::gil_scoped_acquire lock;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

void set_keywords(Fields& fields, const py::kwargs& keywords, const std::string& function) {
  for (const auto& [key, object] : keywords) {
    const auto name = key.cast<std::string>();
    const std::string where = function + ": " + name;
    Field* field = fields.find(name);
    if (field == nullptr) {
      std::vector<std::string> known;
      for (const Field& each : fields.all()) known.push_back(with_underscores(each.name));
      const std::string near = nearest_name(name, known);
      throw UsageError(function + ": unknown keyword '" + escaped(name) + "'" + (near.empty() ? "" : ", did you mean '" + near + "'?"));
    }
    field->set(value_of(object, where), Origin::flag, where);
  }
}

py::dict dictionary_of(Fields& fields) {
  py::dict out;
  for (const TomlEntry& entry : fields.entries()) out[py::str(entry.key)] = object_of(entry.value);
  return out;
}

}  // namespace aot

PYBIND11_MODULE(_aot, module) {
  module.doc() = "The C++ library behind the package `aot`.";
  py::register_local_exception_translator(aot::translate);
  const aot::Versions built = aot::versions();
  module.attr("version") = built.aot;
  module.attr("torch_version") = built.libtorch;
  module.def("openmp_runtimes", aot::openmp_runtimes);
  aot::bind_models(module);
  aot::bind_generate(module);
  aot::bind_data(module);
  aot::bind_theory(module);
}
