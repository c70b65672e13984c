// SPDX-License-Identifier: Apache-2.0
// Trains an attention-only model of two layers on one sentence and lets it go on by itself: the library without the command.
//
//   build/release/examples/example_next_token
//   -> loss 5.5 at first, below 0.1 after 300 steps, and the sentence read back
#include <cstdio>
#include <string>

#include <ATen/ops/empty.h>

#include "aot/data/tokenizer.h"
#include "aot/models/language.h"
#include "aot/train/optimizer.h"

int main() {
  const std::string sentence = "each layer denoises the tokens towards a mixture of subspaces. ";
  const aot::TokenizerPtr tokenizer = aot::make_byte_tokenizer();
  const std::vector<int32_t> tokens = tokenizer->encode(sentence + sentence);
  const auto length = static_cast<int64_t>(sentence.size());

  const aot::LanguageModel model({.mixer = "mssa", .width = 64, .layers = 2, .heads = 4, .context = 64, .vocab_size = 256}, /*seed=*/1);
  aot::Optimizer optimizer(model.parameters(), {});

  at::Tensor ids = at::empty({8, 32}, at::kLong), targets = at::empty({8, 32}, at::kLong);
  double loss = 0;
  for (int64_t step = 0; step < 300; ++step) {
    for (int64_t row = 0; row < 8; ++row) {
      for (int64_t t = 0; t < 32; ++t) {
        const int64_t at = (8 * step + 5 * row) % length + t;
        ids[row][t] = tokens[static_cast<size_t>(at)];
        targets[row][t] = tokens[static_cast<size_t>(at + 1)];
      }
    }
    const at::Tensor mean = model.loss(ids, targets);
    mean.backward();
    optimizer.update(/*lr=*/5e-3);  // leaves the gradients 0
    loss = mean.item<double>();
    if (step % 60 == 0 || step == 299) std::printf("step %3lld  loss %.3f\n", static_cast<long long>(step), loss);
  }

  aot::LanguageState state = model.make_state(/*batch=*/1, /*max_tokens=*/64);
  std::vector<int32_t> written = tokenizer->encode("each layer ");
  at::Tensor next = at::empty({1, static_cast<int64_t>(written.size())}, at::kLong);
  for (size_t i = 0; i < written.size(); ++i) next[0][static_cast<int64_t>(i)] = written[i];
  while (written.size() < 50) {
    next = model.step(next, state).argmax(-1, /*keepdim=*/true);
    written.push_back(static_cast<int32_t>(next.item<int64_t>()));
  }
  const std::string text = tokenizer->decode(written);
  std::printf("%s\n", text.c_str());
  return loss < 0.1 && sentence.rfind(text, 0) == 0 ? 0 : 1;
}
