// SPDX-License-Identifier: Apache-2.0
// Models of checkpoints: forward passes with listeners, weights, settings.
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "aot/models/checkpoint.h"
#include "python/bindings/bindings.h"

namespace aot {
namespace {

/// Patterns of places (ops/taps.h), and what hears name and tensor there: it returns a tensor to go on with, or None.
using Listeners = std::vector<std::pair<std::string, py::function>>;

/// `pass` with Python's listeners at its taps, and a look at signals after each layer.
at::Tensor listened_to(const Listeners& listeners, const std::function<at::Tensor(const Taps&)>& pass) {
  Taps taps;
  for (const auto& [pattern, function] : listeners) {
    taps.listen(pattern, [&function = function](const std::string& name, const at::Tensor& value) {
      const py::gil_scoped_acquire lock;
      const py::object heard = function(name, value);
      if (heard.is_none()) return value;
      py::detail::make_caster<at::Tensor> tensor;
      if (!tensor.load(heard, false)) throw py::type_error("the hook of " + name + " must return a tensor or None");
      return py::detail::cast_op<at::Tensor>(tensor);
    });
  }
  taps.listen("layers.*.residual", [](const std::string&, const at::Tensor& value) {
    poll_signals();
    return value;
  });
  return unlocked([&] { return pass(taps); });
}

py::dict by_name(const Parameters& parameters) {
  py::dict out;
  for (const auto& [name, value] : parameters) out[py::str(name)] = value;
  return out;
}

/// What models of all tasks have.
template <class Model>
void bind_model(py::module_& module, const char* name, const char* load_name, std::unique_ptr<Model> (*load)(const std::string&)) {
  module.def(load_name, [load](const std::string& checkpoint) { return unlocked([&] { return load(checkpoint); }); });
  py::class_<Model>(module, name)
      .def_property_readonly("settings", [](const Model& model) { return settings_of(model.options()); })
      .def("parameters", [](const Model& model) { return by_name(model.parameters()); })
      .def("to", [](Model& model, at::Device device, at::ScalarType dtype) { unlocked([&] { model.to(device, dtype); }); });
}

at::Tensor run_language(const LanguageModel& model, const at::Tensor& ids, const std::optional<at::Tensor>& key_mask, bool causal,
                        const Listeners& listeners) {
  return listened_to(listeners, [&](const Taps& taps) {
    return model.logits(model.hidden(ids, {.key_mask = key_mask.value_or(at::Tensor()), .causal = causal, .taps = &taps}));
  });
}

at::Tensor language_loss(const LanguageModel& model, const at::Tensor& ids, const at::Tensor& targets) {
  return listened_to({}, [&](const Taps& taps) { return model.loss(ids, targets, {.taps = &taps}); });
}

at::Tensor run_vision(const VisionModel& model, const at::Tensor& images, const Listeners& listeners) {
  return listened_to(listeners, [&](const Taps& taps) { return model.logits(images, {.taps = &taps}); });
}

at::Tensor run_regression(const RegressionModel& model, const at::Tensor& x, const at::Tensor& y, const Listeners& listeners) {
  return listened_to(listeners, [&](const Taps& taps) { return model.predictions(x, y, {.taps = &taps}); });
}

}  // namespace

void bind_models(py::module_& module) {
  module.def("place_matches", place_matches);
  module.def("find_checkpoint", [](const std::string& path) { return find_checkpoint(path); });
  module.def("model_task", read_model_task);
  bind_model<LanguageModel>(module, "LanguageModel", "load_language", load_model);
  bind_model<VisionModel>(module, "VisionModel", "load_vision", load_vision_model);
  bind_model<RegressionModel>(module, "RegressionModel", "load_regression", load_regression_model);
  module.def("run_language", run_language);
  module.def("language_loss", language_loss);
  module.def("run_vision", run_vision);
  module.def("run_regression", run_regression);

  // For modules written in Python: the settings of a checkpoint, and its weights copied into tensors of the same names.
  module.def("language_settings", [](const std::string& checkpoint) { return settings_of(read_model_options(checkpoint)); });
  module.def("load_weights", [](const std::string& checkpoint, const std::vector<std::pair<std::string, at::Tensor>>& tensors) {
    Parameters parameters;
    for (const auto& [name, value] : tensors) parameters.push_back({name, value});
    unlocked([&] { load_weights(checkpoint, parameters); });
  });
}

}  // namespace aot
