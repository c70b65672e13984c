// SPDX-License-Identifier: Apache-2.0
#include "aot/models/positions.h"

#include <cmath>

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

namespace aot {

at::Tensor sincos_positions(int64_t tokens, int64_t width) {
  at::Tensor table = at::empty({tokens, width}, at::kFloat);
  auto rows = table.accessor<float, 2>();
  for (int64_t i = 0; i < width; i += 2) {
    const double frequency = std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(width));
    for (int64_t t = 0; t < tokens; ++t) {
      rows[t][i] = static_cast<float>(std::sin(static_cast<double>(t) * frequency));
      if (i + 1 < width) rows[t][i + 1] = static_cast<float>(std::cos(static_cast<double>(t) * frequency));
    }
  }
  return table;
}

at::Tensor sincos_positions(const TokenGrid& grid, int64_t width) {
  TORCH_CHECK_VALUE(width % 4 == 0, "sincos positions of pictures need a width that 4 divides, got ", width);
  const int64_t half = width / 2;
  at::Tensor table = at::zeros({grid.tokens(), width}, at::kFloat);
  const at::Tensor picture = table.narrow(0, grid.leading, grid.height * grid.width).view({grid.height, grid.width, width});
  picture.narrow(2, 0, half).copy_(sincos_positions(grid.height, half).unsqueeze(1));
  picture.narrow(2, half, half).copy_(sincos_positions(grid.width, half).unsqueeze(0));
  return table;
}

}  // namespace aot
