// SPDX-License-Identifier: Apache-2.0
// Named places in a forward pass that a listener may read or replace (docs/ops.md, docs/notation.md).
#pragma once

#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

namespace aot {

/// Whether `name` is `pattern`, part by part between dots, "*" standing for any one part.
bool place_matches(const std::string& pattern, const std::string& name);

/// What one forward pass lets out, by name: "layers.3.weights". A place without a listener costs one null check;
/// listening to "scores" or "weights" makes attention take the explicit path, which a test holds equal to the fused one.
///
///   projections (B, K, T, P)   scores, weights (B, K, T, T)   heads (B, K, T, P)   update, residual (B, T, D)
class Taps {
 public:
  /// Sees the tensor and returns it, or another of the same shape to go on with.
  using Listener = std::function<at::Tensor(const std::string& name, const at::Tensor& value)>;

  /// Listens to the places that match, e.g. "layers.0.heads" or "layers.*.residual".
  void listen(std::string pattern, Listener listener);
  [[nodiscard]] bool wants(const std::string& name) const;
  [[nodiscard]] at::Tensor offer(const std::string& name, const at::Tensor& value) const;

 private:
  std::vector<std::pair<std::string, Listener>> listeners_;
};

/// The taps of one layer: a null `taps` means that nobody listens.
struct TapScope {
  const Taps* taps = nullptr;
  std::string prefix;  // e.g. "layers.3."

  [[nodiscard]] bool wants(const char* place) const { return taps != nullptr && taps->wants(prefix + place); }
  [[nodiscard]] at::Tensor operator()(const char* place, const at::Tensor& value) const {
    return taps == nullptr ? value : taps->offer(prefix + place, value);
  }
};

}  // namespace aot
