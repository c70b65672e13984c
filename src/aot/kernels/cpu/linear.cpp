// SPDX-License-Identifier: Apache-2.0
#include "aot/kernels/cpu/linear.h"

#include "aot/kernels/cpu/dispatch.h"
#include "aot/kernels/cpu/matmul_cut.h"
#include "aot/kernels/cpu/path.h"

namespace aot {

int64_t matmul_steps(const MatmulParams& params) {
  const MatmulCut cut(params);
  return cut.depth.count() * cut.cols.count();
}

int64_t matmul_pack_tasks(const MatmulParams& params, int64_t step) {
  const MatmulStep at(MatmulCut(params), step);
  return at.blocks.count() * at.groups.count();
}

int64_t matmul_tasks(const MatmulParams& params, int64_t step) {
  const MatmulCut cut(params);
  return cut.rows.count() * MatmulStep(cut, step).parts.count();
}

int64_t matmul_packed(const MatmulParams& params) {
  const MatmulCut cut(params);
  return (cut.depth.largest() + 1) * (cut.cols.largest() + kPanelCols);
}

int64_t matmul_scratch(const MatmulParams& params) {
  const MatmulCut cut(params);
  const int64_t rows = cut.rows.largest() + kPanelCols, cols = params.cols < kPartCols ? params.cols : kPartCols;
  return rows * (kDepthBlock + kPanelCols + (params.out_bfloat16 ? cols + 2 * kPanelCols : 0));
}

void matmul_pack(const MatmulParams& params, int64_t step, int64_t begin, int64_t end, float* packed) {
  AOT_DISPATCH(matmul_pack(params, step, begin, end, packed));
}

void matmul(const MatmulParams& params, int64_t step, int64_t begin, int64_t end, const float* packed, float* scratch) {
  AOT_DISPATCH(matmul(params, step, begin, end, packed, scratch));
}

void multiply_row(const RowProductParams& params, int64_t begin, int64_t end) {
  AOT_DISPATCH(multiply_row(params, begin, end));
}

MatmulChoice matmul_choice(const Processor& processor, CpuPath path) {
  if (path == CpuPath::generic) return {};
  // The library's float32 products reach 37 % of the peak of Zen 5 and 95 % of that of Intel's parts with AVX-512. Its bfloat16 products
  // reach 85 % on Zen 5, by the dot instruction: ours without it are half as fast. On an Intel part without AMX they reach half of its
  // float32 ones.
  const bool has_dots = processor.widest == CpuPath::avx512_bf16;
  switch (processor.vendor) {
    case Processor::Vendor::amd:
      return {.float32 = true, .bfloat16 = path == CpuPath::avx512_bf16 || !has_dots};
    case Processor::Vendor::intel:
      return {.float32 = false, .bfloat16 = path != CpuPath::avx2 && !processor.amx};
    case Processor::Vendor::other:
      break;
  }
  return {};
}

MatmulChoice matmul_choice() {
  static const Processor processor = this_processor();
  return matmul_choice(processor, cpu_path());
}

}  // namespace aot
