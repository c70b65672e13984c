// SPDX-License-Identifier: Apache-2.0
// torch.ops.aot.*: the operators of the ops room for PyTorch's dispatcher, so for eager mode, autograd, autocast and compilers.
//
// `attention`, `mssa`, `mhsa` and `tssa` are composed of others, and so whatever traces or differentiates PyTorch sees through them.
// Below them lie `_attention_forward` and `_attention_backward`, which are opaque and run our kernels; what compilers must know of their
// results stands in python/aot/ops.py. Where the kernels do not serve, LibTorch's operators take their place (ops/decomposed.h).
#include <cmath>
#include <mutex>
#include <optional>
#include <tuple>
#include <utility>

#include <ATen/autocast_mode.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/unflatten.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "aot/kernels/cpu/mssa.h"
#include "aot/ops/attention.h"
#include "aot/ops/decomposed.h"
#include "aot/ops/mssa_kernel.h"
#include "aot/ops/tssa.h"

namespace aot {
namespace {

using c10::SymInt;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using MaybeTensor = std::optional<at::Tensor>;
using MaybeBase = std::optional<double>;  // of rotary positions; none: no positions

at::Tensor or_undefined(const MaybeTensor& tensor) {
  return tensor.value_or(at::Tensor());
}

template <class Signature>
auto operator_handle(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

// ---- what runs the kernels

/// float32 rows on the processor. Those last asked for are kept, since the layers of a model ask for the same ones.
RotaryRows kept_rotary_rows(double base, int64_t first, int64_t tokens, int64_t head_dim) {
  using Key = std::tuple<double, int64_t, int64_t, int64_t>;
  static std::mutex mutex;
  static Key kept_key;
  static RotaryRows kept;
  const Key key{base, first, tokens, head_dim};
  const std::lock_guard lock(mutex);
  if (!kept.cos.defined() || key != kept_key) {
    const c10::InferenceMode outside(false);  // they may serve a training step later
    kept = rotary_rows(base, first, tokens, head_dim, at::kFloat);
    kept_key = key;
  }
  return kept;
}

MssaSetting setting_of(const at::Tensor& a, bool causal, const MaybeTensor& key_mask, MaybeBase rotary, int64_t offset) {
  MssaSetting setting{.causal = causal, .scale = 1 / std::sqrt(static_cast<double>(a.size(3)))};
  if (key_mask) setting.key_mask = key_mask->contiguous();
  if (rotary) {
    const RotaryRows rows = kept_rotary_rows(*rotary, offset, a.size(2), a.size(3));
    setting.cos = rows.cos;
    setting.sin = rows.sin;
  }
  return setting;
}

std::tuple<at::Tensor, at::Tensor> attention_forward(const at::Tensor& a, bool causal, const MaybeTensor& key_mask, MaybeBase rotary,
                                                     int64_t offset) {
  MssaPass pass = mssa_kernel_forward(a, setting_of(a, causal, key_mask, rotary, offset));
  return {std::move(pass.out), std::move(pass.statistics)};
}

at::Tensor attention_backward(const at::Tensor& d_out, const at::Tensor& a, const at::Tensor& out, const at::Tensor& statistics,
                              bool causal, const MaybeTensor& key_mask, MaybeBase rotary, int64_t offset) {
  // Numbers that are not finite go through the plain form and its graph, which is not recorded below the autograd keys.
  const auto keys = c10::impl::tls_local_dispatch_key_set();
  const c10::impl::ForceDispatchKeyGuard above_autograd(keys.included_,
                                                        keys.excluded_ - c10::autograd_dispatch_keyset_with_ADInplaceOrView);
  return mssa_kernel_backward(d_out, a, {.out = out, .statistics = statistics}, setting_of(a, causal, key_mask, rotary, offset));
}

// The dispatcher knows symbols by value alone.
using ForwardSignature = std::tuple<at::Tensor, at::Tensor>(const at::Tensor&, bool, const MaybeTensor&, MaybeBase, SymInt);
using BackwardSignature = at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&, bool, const MaybeTensor&,
                                     MaybeBase, SymInt);

std::tuple<at::Tensor, at::Tensor> call_forward(const at::Tensor& a, bool causal, const MaybeTensor& key_mask, MaybeBase rotary,
                                                const SymInt& offset) {
  static const auto forward = operator_handle<ForwardSignature>("aot::_attention_forward");
  return forward.call(a, causal, key_mask, rotary, offset);
}

// ---- attention

/// `a` as the scores see it.
at::Tensor turned(const at::Tensor& a, MaybeBase rotary, const SymInt& offset) {
  if (!rotary) return a;
  const int64_t head_dim = a.sym_size(-1).guard_int(__FILE__, __LINE__);
  const auto options = a.options().dtype(a.scalar_type() == at::kDouble ? at::kDouble : at::kFloat).requires_grad(false);
  return rotate_decomposed(a, rotary_rows(*rotary, offset, a.sym_size(-2), head_dim, options));
}

/// The derivative of `attention` where the kernels serve. Saved: a, the output, two numbers a row and head.
struct KernelAttention : torch::autograd::Function<KernelAttention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& a, bool causal, const MaybeTensor& key_mask, MaybeBase rotary,
                            const SymInt& offset) {
    const at::AutoDispatchBelowADInplaceOrView below;
    auto [out, statistics] = call_forward(a, causal, key_mask, rotary, offset);
    context->save_for_backward({a, out, statistics, or_undefined(key_mask)});
    context->saved_data["causal"] = causal;
    context->saved_data["rotary"] = rotary;
    context->saved_data["offset"] = offset;
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor& a = saved[0];
    const MaybeTensor key_mask = saved[3].defined() ? MaybeTensor(saved[3]) : std::nullopt;
    const bool causal = context->saved_data["causal"].toBool();
    const auto rotary = context->saved_data["rotary"].toOptional<double>();
    const SymInt offset = context->saved_data["offset"].toSymInt();
    variable_list out(5);
    if (c10::GradMode::is_enabled()) {  // to be differentiated again
      const at::Tensor w = turned(a, rotary, offset);
      out[0] =
          torch::autograd::grad({attention_reference(w, w, a, {.causal = causal, .key_mask = saved[3]})}, {a}, gradients, true, true)[0];
    } else {
      const at::AutoDispatchBelowADInplaceOrView below;
      static const auto backward = operator_handle<BackwardSignature>("aot::_attention_backward");
      out[0] = backward.call(gradients[0], a, saved[1], saved[2], causal, key_mask, rotary, offset);
    }
    return out;
  }
};

bool kernels_serve(const at::Tensor& a) {
  // torch.func takes no derivative written in C++, but sees through LibTorch's operators.
  constexpr c10::DispatchKeySet kTransforms({c10::DispatchKey::FuncTorchBatched, c10::DispatchKey::FuncTorchGradWrapper});
  const bool transformed = a.key_set().has_any(kTransforms);
  return a.device().is_cpu() && (a.scalar_type() == at::kFloat || a.scalar_type() == at::kBFloat16) && !transformed &&
         mssa_kernel_takes(a.sym_size(3).guard_int(__FILE__, __LINE__));
}

void check_attention(const at::Tensor& a, const MaybeTensor& key_mask, MaybeBase rotary, const SymInt& offset) {
  TORCH_CHECK_VALUE(a.dim() == 4, "attention: a must be (B, K, T, P), got ", a.sym_sizes());
  TORCH_CHECK_VALUE(a.is_floating_point(), "attention: a must be of floating point, got ", a.scalar_type());
  TORCH_CHECK_VALUE(!key_mask || (key_mask->scalar_type() == at::kBool && key_mask->dim() == 2 && key_mask->sym_size(0) == a.sym_size(0) &&
                                  key_mask->sym_size(1) == a.sym_size(2)),
                    "attention: key_mask must be (B, T) bool = (", a.sym_size(0), ", ", a.sym_size(2), "), got ", key_mask->sym_sizes(),
                    " ", key_mask->scalar_type());
  TORCH_CHECK_VALUE(!rotary || (*rotary > 0 && a.sym_size(3) % 2 == 0),
                    "attention: rotary needs a base above 0 and an even head dimension, got base ", rotary.value_or(0),
                    ", P = ", a.sym_size(3));
  TORCH_CHECK_VALUE(offset >= 0, "attention: offset must not be negative, got ", offset);
}

at::Tensor attention_operator(const at::Tensor& a, bool causal, const MaybeTensor& key_mask, MaybeBase rotary, SymInt offset) {
  check_attention(a, key_mask, rotary, offset);
  if (!kernels_serve(a)) {
    const at::Tensor w = turned(a, rotary, offset);
    return attention_decomposed(w, w, a, causal, or_undefined(key_mask));
  }
  if (c10::GradMode::is_enabled() && a.requires_grad()) return KernelAttention::apply(a, causal, key_mask, rotary, offset);
  return std::get<0>(call_forward(a, causal, key_mask, rotary, offset));
}

using AttentionSignature = at::Tensor(const at::Tensor&, bool, const MaybeTensor&, MaybeBase, SymInt);

at::Tensor call_attention(const at::Tensor& a, bool causal, const MaybeTensor& key_mask, MaybeBase rotary, const SymInt& offset) {
  static const auto attention = operator_handle<AttentionSignature>("aot::attention");
  return attention.call(a, causal, key_mask, rotary, offset);
}

/// Under autocast attention runs in autocast's type, as LibTorch's own does.
template <c10::DispatchKey key, c10::DeviceType device>
at::Tensor attention_autocast(const at::Tensor& a, bool causal, const MaybeTensor& key_mask, MaybeBase rotary, SymInt offset) {
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(key);
  return call_attention(at::autocast::cached_cast(at::autocast::get_autocast_dtype(device), a, device), causal, key_mask, rotary, offset);
}

// ---- layers

/// (B, T, n) -> (B, K, T, n / K), a view.
at::Tensor heads_of(const at::Tensor& x, const SymInt& heads) {
  return at::unflatten_symint(x, -1, {heads, -1}).transpose(1, 2);
}

/// Heads (B, K, T, P) of z (B, T, D) to the update: by w_out (D, K P), or where there is none back through u (K P, D).
at::Tensor update_of(const at::Tensor& heads, const at::Tensor& z, const at::Tensor& u, const MaybeTensor& w_out, const MaybeTensor& b_out,
                     const MaybeTensor& w_gate) {
  at::Tensor joined = heads.transpose(1, 2).flatten(2);  // (B, T, K P)
  if (w_gate) joined = joined * at::silu(at::linear(z, *w_gate));
  if (w_out) return at::linear(joined, *w_out, b_out);
  const at::Tensor update = at::matmul(joined, u);
  return b_out ? update + *b_out : update;
}

void check_tokens(const char* name, const at::Tensor& z) {
  TORCH_CHECK_VALUE(z.dim() == 3, name, ": z must be (B, T, D), got ", z.sym_sizes());
}

at::Tensor mssa_operator(const at::Tensor& z, const at::Tensor& u, const MaybeTensor& w_out, bool causal, const MaybeTensor& key_mask,
                         MaybeBase rotary, SymInt offset, std::optional<int64_t> heads, const MaybeTensor& w_gate,
                         const MaybeTensor& b_out) {
  check_tokens("mssa", z);
  TORCH_CHECK_VALUE((u.dim() == 3 && u.sym_size(1) == z.sym_size(2)) || (u.dim() == 2 && heads && u.sym_size(1) == z.sym_size(2)),
                    "mssa: u must be (K, D, P), or (K P, D) with heads = K, and D = ", z.sym_size(2), ", got ", u.sym_sizes(),
                    heads ? "" : " without heads");
  const SymInt count = u.dim() == 3 ? u.sym_size(0) : SymInt(*heads);
  TORCH_CHECK_VALUE((!heads || count == *heads) && (u.dim() == 3 || (count > 0 && u.sym_size(0) % count == 0)), "mssa: u of ",
                    u.sym_sizes(), " does not hold ", *heads, " heads");
  const at::Tensor rows = u.dim() == 3 ? u.transpose(1, 2).flatten(0, 1) : u;  // (K P, D)
  const at::Tensor a = heads_of(at::linear(z, rows), count);
  return update_of(call_attention(a, causal, key_mask, rotary, offset), z, rows, w_out, b_out, w_gate);
}

at::Tensor mhsa_operator(const at::Tensor& z, const at::Tensor& w_qkv, const at::Tensor& w_out, int64_t heads, bool causal,
                         const MaybeTensor& key_mask, MaybeBase rotary, SymInt offset, const MaybeTensor& b_qkv, const MaybeTensor& w_gate,
                         const MaybeTensor& b_out) {
  check_tokens("mhsa", z);
  TORCH_CHECK_VALUE(heads > 0 && w_qkv.dim() == 2 && w_qkv.sym_size(1) == z.sym_size(2) && w_qkv.sym_size(0) % (3 * heads) == 0,
                    "mhsa: w_qkv must be (3 K P, D) with K = ", heads, " and D = ", z.sym_size(2), ", got ", w_qkv.sym_sizes());
  const auto parts = at::linear(z, w_qkv, b_qkv).chunk(3, -1);
  const at::Tensor q = heads_of(parts[0], heads), k = heads_of(parts[1], heads), v = heads_of(parts[2], heads);
  check_attention(q, key_mask, rotary, offset);
  const at::Tensor out = attention_decomposed(turned(q, rotary, offset), turned(k, rotary, offset), v, causal, or_undefined(key_mask));
  return update_of(out, z, {}, w_out, b_out, w_gate);
}

at::Tensor tssa_operator(const at::Tensor& w, const at::Tensor& temperature, const MaybeTensor& bias, bool causal,
                         const MaybeTensor& key_mask) {
  return tssa(w, temperature, or_undefined(bias), {.causal = causal, .key_mask = or_undefined(key_mask)});
}

void add_composed(torch::Library& library) {
  library.impl("attention", attention_operator);
  library.impl("mssa", mssa_operator);
  library.impl("mhsa", mhsa_operator);
  library.impl("tssa", tssa_operator);
}

}  // namespace

TORCH_LIBRARY(aot, library) {
  library.def("attention(Tensor a, bool causal=True, Tensor? key_mask=None, float? rotary=None, SymInt offset=0) -> Tensor");
  library.def("_attention_forward(Tensor a, bool causal, Tensor? key_mask, float? rotary, SymInt offset) -> (Tensor, Tensor)");
  library.def(
      "_attention_backward(Tensor d_out, Tensor a, Tensor out, Tensor statistics, bool causal, Tensor? key_mask, float? rotary, "
      "SymInt offset) -> Tensor");
  library.def(
      "mssa(Tensor z, Tensor u, Tensor? w_out=None, bool causal=True, Tensor? key_mask=None, float? rotary=None, SymInt offset=0, "
      "int? heads=None, Tensor? w_gate=None, Tensor? b_out=None) -> Tensor");
  library.def(
      "mhsa(Tensor z, Tensor w_qkv, Tensor w_out, int heads, bool causal=True, Tensor? key_mask=None, float? rotary=None, "
      "SymInt offset=0, Tensor? b_qkv=None, Tensor? w_gate=None, Tensor? b_out=None) -> Tensor");
  library.def("tssa(Tensor w, Tensor temperature, Tensor? bias=None, bool causal=True, Tensor? key_mask=None) -> Tensor");
}

TORCH_LIBRARY_IMPL(aot, CPU, library) {
  library.impl("_attention_forward", attention_forward);
  library.impl("_attention_backward", attention_backward);
}

TORCH_LIBRARY_IMPL(aot, CompositeImplicitAutograd, library) {
  add_composed(library);
}

TORCH_LIBRARY_IMPL(aot, FuncTorchBatchedDecomposition, library) {  // vmap sees through them too
  add_composed(library);
}

TORCH_LIBRARY_IMPL(aot, AutocastCPU, library) {
  library.impl("attention", attention_autocast<c10::DispatchKey::AutocastCPU, c10::DeviceType::CPU>);
}

TORCH_LIBRARY_IMPL(aot, AutocastCUDA, library) {
  library.impl("attention", attention_autocast<c10::DispatchKey::AutocastCUDA, c10::DeviceType::CUDA>);
}

}  // namespace aot
