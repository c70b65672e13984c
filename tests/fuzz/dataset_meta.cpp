// SPDX-License-Identifier: Apache-2.0
// meta.json of prepared text.
#include "aot/data/meta.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace aot;
  DatasetMeta meta;
  if (!accepted([&] { meta = parse_dataset_meta(text_of(data, size), "meta.json"); })) return 0;
  require(meta.vocab_size > 0 && meta.train.tokens > 0 && (!meta.val || meta.val->tokens > 0), "counts are in range");
  const std::string text = dataset_meta_text(meta);
  require(dataset_meta_text(parse_dataset_meta(text, "meta.json")) == text, "reading undoes writing");
  return 0;
}
