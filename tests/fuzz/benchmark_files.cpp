// SPDX-License-Identifier: Apache-2.0
// The files of language benchmarks; the first byte says which: lines, LAMBADA's passages, the Children's Book Test.
#include "aot/data/benchmark_files.h"

#include "aot/io/utf8.h"
#include "tests/fuzz/target.h"

namespace aot {
namespace {

void check_items(const std::vector<TextItem>& items) {
  int64_t line = 0;
  for (const TextItem& item : items) {
    require(item.line > line, "lines are counted");
    require(find_invalid_utf8(item.text) == std::string_view::npos, "texts are valid UTF-8");
    line = item.line;
  }
}

void check_question(const ClozeQuestion& question) {
  require(question.sentences.size() == ClozeQuestion::kSentences && question.line >= 21, "a question is whole");
  require(question.query.find(ClozeQuestion::kBlank) != std::string::npos, "a query has a blank");
  require(question.options.size() >= 2 && question.right_option() < question.options.size(), "an answer is an option");
  for (const std::string& option : question.options) require(!option.empty(), "an option is a text");
}

}  // namespace
}  // namespace aot

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace aot;
  if (size == 0) return 0;
  const std::string_view bytes = text_of(data + 1, size - 1);
  const std::string path = "file.txt";
  switch (data[0] % 3) {
    case 0:
      accepted([&] { check_items(parse_lines(bytes, path)); });
      break;
    case 1:
      accepted([&] {
        const Passages passages = parse_passages(bytes, path);
        require(!passages.items.empty(), "there are passages");
        check_items(passages.items);
      });
      break;
    default:
      accepted([&] {
        const std::vector<ClozeQuestion> questions = parse_cloze(bytes, path);
        require(!questions.empty(), "there are questions");
        for (const ClozeQuestion& question : questions) check_question(question);
      });
  }
  return 0;
}
