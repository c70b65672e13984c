// SPDX-License-Identifier: Apache-2.0
#include "aot/models/recompute.h"

#include <ATen/autocast_mode.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include "aot/core/autocast.h"
#include "aot/core/gradients.h"

namespace aot {
namespace {

/// What the layer's second pass must find as the first one did.
struct Again : torch::CustomClassHolder {
  const Block* block = nullptr;
  MixerInput input;  // its generator as it stood before the first pass
  at::ScalarType autocast = at::kFloat;
  double in_place = 0;  // loss gradient of the GradientsInPlace in force; 0: none
};

struct Recomputed : torch::autograd::Function<Recomputed> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& z, const Block& block, const MixerInput& input) {
    auto again = c10::make_intrusive<Again>();
    again->block = &block;
    again->input = input;
    if (input.generator) again->input.generator = input.generator->clone();
    const at::DeviceType device = z.device().type();
    if (at::autocast::is_autocast_enabled(device)) again->autocast = at::autocast::get_autocast_dtype(device);
    again->in_place = loss_gradient_in_place();
    context->saved_data["again"] = c10::IValue::make_capsule(again);
    context->save_for_backward({z});
    return block.forward(z, input);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    TORCH_CHECK(!c10::GradMode::is_enabled(), "recomputed layers have no second derivative");
    const auto again = c10::static_intrusive_pointer_cast<Again>(context->saved_data["again"].toCapsule());
    const at::Tensor z = context->get_saved_variables()[0].detach().requires_grad_();
    MixerInput input = again->input;
    if (input.generator) input.generator = input.generator->clone();  // for another backward, if the graph is kept
    at::Tensor out;
    {
      const c10::AutoGradMode with_graph(true);
      const Autocast autocast(z.device().type(), again->autocast);
      std::optional<GradientsInPlace> in_place;
      if (again->in_place != 0) in_place.emplace(again->in_place);
      out = again->block->forward(z, input);
    }
    torch::autograd::backward({out}, {gradients[0]});
    return {z.grad(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor recomputed(const Block& block, const at::Tensor& z, const MixerInput& input) {
  if (!c10::GradMode::is_enabled() || !z.requires_grad()) return block.forward(z, input);
  return Recomputed::apply(z, block, input);
}

}  // namespace aot
