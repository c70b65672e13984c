// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/stop_words.h"

#include <algorithm>
#include <array>
#include <string>

#include <ATen/ops/zeros.h>

#include "aot/eval/lambada.h"

namespace aot {
namespace {

constexpr auto kStopWords = std::to_array<std::string_view>({
    // clang-format off
    "a", "about", "above", "across", "after", "again", "against", "all", "almost", "along", "already", "also", "although", "always", "am",
    "among", "an", "and", "another", "any", "anybody", "anyone", "anything", "are", "around", "as", "at", "away", "back", "be", "became",
    "because", "become", "been", "before", "behind", "being", "below", "beneath", "beside", "between", "beyond", "both", "but", "by", "can",
    "cannot", "could", "did", "do", "does", "doing", "done", "down", "during", "each", "either", "else", "enough", "even", "ever", "every",
    "everybody", "everyone", "everything", "few", "for", "from", "further", "get", "got", "had", "has", "have", "having", "he", "her",
    "here", "hers", "herself", "him", "himself", "his", "how", "however", "i", "if", "in", "indeed", "inside", "instead", "into", "is",
    "it", "its", "itself", "just", "least", "less", "like", "many", "may", "me", "might", "mine", "more", "most", "much", "must", "my",
    "myself", "near", "neither", "never", "no", "nobody", "none", "nor", "not", "nothing", "now", "of", "off", "often", "on", "once", "one",
    "only", "onto", "or", "other", "others", "our", "ours", "ourselves", "out", "outside", "over", "own", "per", "perhaps", "quite",
    "rather", "really", "same", "shall", "she", "should", "since", "so", "some", "somebody", "someone", "something", "soon", "still",
    "such", "than", "that", "the", "their", "theirs", "them", "themselves", "then", "there", "these", "they", "this", "those", "though",
    "through", "throughout", "thus", "till", "to", "together", "too", "toward", "towards", "under", "until", "up", "upon", "us", "very",
    "was", "we", "well", "were", "what", "whatever", "when", "where", "whether", "which", "while", "who", "whoever", "whom", "whose", "why",
    "will", "with", "within", "without", "would", "yet", "you", "your", "yours", "yourself", "yourselves",
    // clang-format on
});
static_assert(std::is_sorted(kStopWords.begin(), kStopWords.end()));

}  // namespace

std::span<const std::string_view> stop_words() {
  return kStopWords;
}

at::Tensor stop_word_ids(const Tokenizer& tokenizer, int64_t vocab_size) {
  at::Tensor ids = at::zeros({vocab_size}, at::kBool);
  for (int64_t id = 0; id < std::min(vocab_size, tokenizer.vocab_size()); ++id) {
    const std::string_view bytes = tokenizer.bytes_of(static_cast<int32_t>(id));
    if (!bytes.starts_with(' ')) continue;
    const std::string word = lower_case(bytes.substr(1));
    if (std::binary_search(kStopWords.begin(), kStopWords.end(), word)) ids.data_ptr<bool>()[id] = true;
  }
  return ids;
}

}  // namespace aot
