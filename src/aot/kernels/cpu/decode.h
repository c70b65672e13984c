// SPDX-License-Identifier: Apache-2.0
// The parts of one decoding step on the processor: products with packed weights, attention over a cache of panels, norms, the best token
// (docs/kernels.md). Every function is serial; who shares the work among threads is the caller's affair.
//
// No sum depends on how the work is shared or on how many sequences go along: batch 1 gives the bits of the same sequence in a batch.
#pragma once

#include <cstdint>

namespace aot {

/// How weights and caches are stored. Sums are float32 throughout.
enum class NumberFormat : uint8_t {
  float32,
  bfloat16,
  int8,  // with one float32 scale per row of weights, or per cached token
};

constexpr int64_t bytes_of(NumberFormat format) {
  return format == NumberFormat::float32 ? 4 : format == NumberFormat::bfloat16 ? 2 : 1;
}

// ---------------------------------------------------------------- products

constexpr int64_t kWeightPanel = 32;  // rows of a panel of weights

constexpr int64_t weight_panels(int64_t rows) {
  return (rows + kWeightPanel - 1) / kWeightPanel;
}

/// A matrix W (rows, depth) as panels [rows / 32][depth][32], zeros behind the last row: a product with a vector then needs no horizontal
/// sums and reads one stream.
struct PackedMatrix {
  NumberFormat format = NumberFormat::float32;
  int64_t rows = 0, depth = 0;
  void* panels = nullptr;   // weight_panels(rows) * 32 * depth numbers, 64-byte aligned
  float* scales = nullptr;  // int8: (weight_panels(rows) * 32)
};

/// Packs panels begin .. end - 1 of the matrix whose element (row, k) is from[row * row_stride + k * depth_stride].
/// int8: w = scale * q, q in -127 .. 127, scale = largest |w| of the row / 127; a row that is not finite gets the scale NaN.
void pack_weights(const float* from, int64_t row_stride, int64_t depth_stride, const PackedMatrix& to, int64_t begin, int64_t end);

/// What becomes of y = W x + bias.
enum class ProductEnd : uint8_t {
  store,      // out = y
  gelu,       // out = y Phi(y)
  gelu_tanh,  // out = y (1 + tanh(sqrt(2 / pi) (y + 0.044715 y^3))) / 2
  gate,       // out = out * y sigmoid(y)
  add,        // out = out + step * y, step one number or one per row
};

/// Rows of `out` and `x` are the sequences of the batch. `out`, `bias` and `steps` reach to the end of the last panel.
struct ProductParams {
  PackedMatrix w;
  int64_t batch = 1;
  const float* x = nullptr;  // (batch, depth)
  int64_t x_stride = 0;
  const float* bias = nullptr;  // null: none
  float* out = nullptr;         // (batch, rows)
  int64_t out_stride = 0;
  ProductEnd end = ProductEnd::store;
  float step = 1;
  const float* steps = nullptr;  // null: `step`
};

/// Panels begin .. end - 1 of the product, each read once for all sequences.
void decode_product(const ProductParams& params, int64_t begin, int64_t end);

// ---------------------------------------------------------------- attention

constexpr int64_t kCachePanel = 16;  // tokens of a panel of a cache

/// The cache of one layer: for each head of each sequence panels [tokens / 16][dim][16]. With subspaces `values` is `keys`: one cache.
///
/// Rotary positions: row j is kept turned by j mod 16 alone. A query then meets a panel turned by its distance to the panel's first token,
/// and since lane l always holds rows turned by l, values are turned back once, at the end, lane by lane: one cache serves as key and
/// value, and no row is turned twice.
struct CacheView {
  NumberFormat format = NumberFormat::float32;
  int64_t heads = 0;                                     // of all sequences: B K
  int64_t dim = 0;                                       // P
  int64_t tokens = 0;                                    // room, a multiple of 16
  void *keys = nullptr, *values = nullptr;               // (heads, tokens * dim) numbers
  float *key_scales = nullptr, *value_scales = nullptr;  // int8: (heads, tokens)
  const float *cos = nullptr, *sin = nullptr;            // (tokens, dim / 2): row t is position t; null without rotary positions
};

/// Stores row `token` of a head; `value` is not read when there is one cache. `scratch`: dim numbers.
void decode_append(const CacheView& cache, int64_t head, int64_t token, const float* key, const float* value, float* scratch);

/// Weights are powers of 2 relative to a stabiliser, which follows the largest score so far when that is exceeded by so many powers.
constexpr float kDecodeSlack = 32;

struct AttendParams {
  CacheView cache;
  const float* q = nullptr;  // (dim), unturned
  int64_t head = 0;
  int64_t tokens = 0;          // cached ones, the query's own the last
  int64_t begin = 0, end = 0;  // of the cached tokens this call reads begin .. end - 1; begin a multiple of 16
  float scale = 0;             // of the scores
  float slack = kDecodeSlack;
  float* out = nullptr;      // (dim): softmax-weighted mean of the values that were read
  float* log_sum = nullptr;  // log2 of the sum of weights, null when nobody wants it
  float* scratch = nullptr;  // attend_scratch(dim) numbers, 64-byte aligned
};

constexpr int64_t attend_scratch(int64_t dim) {
  return (kCachePanel + 4) * ((dim + 15) / 16 * 16);
}

void decode_attend(const AttendParams& params);

/// Joins the results of `parts` calls over parts of the tokens, in their order: parts_out (parts, dim), log_sums (parts,).
void decode_merge(const float* parts_out, const float* log_sums, int64_t parts, int64_t dim, float* out);

// ---------------------------------------------------------------- rows

enum class NormFormula : uint8_t { none, layer, rms };

/// out = (z - mean) / sqrt(var + epsilon) * weight + bias, or z / sqrt(mean z^2 + epsilon) * weight, or z. Null: 1 and 0. The same bits as
/// norm_forward's.
void decode_norm(NormFormula formula, const float* z, const float* weight, const float* bias, float epsilon, int64_t width, float* out);

struct Best {
  int64_t index = 0;  // of the largest, the first of equals
  float value = 0;
  bool usable = true;  // no NaN and no +infinity among them, and one above -infinity
};

/// The largest of `count` >= 1 numbers.
Best decode_best(const float* values, int64_t count);

}  // namespace aot
