// SPDX-License-Identifier: Apache-2.0
#include "aot/eval/published.h"

#include <algorithm>

#include "aot/eval/benchmark_text.h"
#include "aot/io/error.h"

namespace aot {
namespace {

void doubt_count(const PublishedSet& set, size_t count, std::vector<std::string>& doubts) {
  if (static_cast<int64_t>(count) != set.count) doubts.push_back(str(set.file, " has ", set.count, " ", set.unit, " (found ", count, ")"));
}

bool any_holds(std::span<const TextItem> items, std::string_view part) {
  return std::any_of(items.begin(), items.end(), [part](const TextItem& item) { return item.text.find(part) != std::string::npos; });
}

/// Of Mikolov's file only N, which stands for numbers, is an upper-case letter.
bool has_upper_case(const TextItem& item) {
  const std::string& text = item.text;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool alone = (i == 0 || text[i - 1] == ' ') && (i + 1 == text.size() || text[i + 1] == ' ');
    if (text[i] >= 'A' && text[i] <= 'Z' && !(text[i] == 'N' && alone)) return true;
  }
  return false;
}

bool is_json(const PublishedSet& set) {
  return set.file.ends_with(".jsonl");
}

}  // namespace

PublishedSet published_set(std::string_view task, std::string_view protocol) {
  if (task == "ptb") return {"ptb.test.txt", "in Mikolov's RNNLM toolkit, simple-examples/data (Mikolov et al. 2010)", 3761, "lines"};
  if (task.starts_with("wikitext")) {
    const std::string name = task == "wikitext2" ? "wikitext-2-raw" : "wikitext-103-raw";
    return {"wiki.test.raw", "as " + name + " (Merity et al. 2017)", 4358, "lines"};
  }
  if (task == "lambada") {
    if (protocol == "tost" || protocol == "openai-greedy" || protocol == "gpt2-paper")
      return {"lambada_test.jsonl", "by OpenAI with GPT-2 (Radford et al. 2019)", 5153, "passages"};
    return {"lambada_test_plain_text.txt", "as the LAMBADA data set (Paperno et al. 2016)", 5153, "passages"};
  }
  const std::string kind = task == "cbt-cn" ? "CN" : "NE";
  const std::string source = "in CBTest, the Children's Book Test (Hill et al. 2016)";
  if (protocol == "tost") return {"cbtest_" + kind + "_valid_2000ex.txt", source, 2000, "questions"};
  return {"cbtest_" + kind + "_test_2500ex.txt", source, 2500, "questions"};
}

std::vector<std::string> doubts_about(const PublishedSet& set, std::string_view task, std::span<const TextItem> lines) {
  std::vector<std::string> doubts;
  doubt_count(set, lines.size(), doubts);
  if (task == "ptb") {
    if (const auto upper = std::find_if(lines.begin(), lines.end(), has_upper_case); upper != lines.end())
      doubts.push_back(str("line ", upper->line, " has upper case, which ", set.file, " has only in N for numbers"));
  } else if (any_holds(lines, "<unk>")) {
    doubts.push_back("it holds <unk>, which the raw file does not");
  }
  return doubts;
}

std::vector<std::string> doubts_about(const PublishedSet& set, const Passages& passages) {
  std::vector<std::string> doubts;
  doubt_count(set, passages.items.size(), doubts);
  if (is_json(set) && !passages.json) doubts.push_back("it is plain text, but accuracy is measured on OpenAI's JSON lines");
  if (!is_json(set) && passages.json) doubts.push_back("it is JSON lines, but the loss is measured on the plain text");
  if (!is_json(set) && !any_holds(passages.items, " ,") && !any_holds(passages.items, " ."))
    doubts.push_back("no comma or full stop stands between spaces, as all do in the plain text");
  return doubts;
}

std::vector<std::string> doubts_about(const PublishedSet& set, std::span<const ClozeQuestion> questions) {
  std::vector<std::string> doubts;
  doubt_count(set, questions.size(), doubts);
  const auto odd = std::find_if(questions.begin(), questions.end(), [](const ClozeQuestion& q) { return q.options.size() != 10; });
  if (odd != questions.end()) doubts.push_back(str("line ", odd->line, " has ", odd->options.size(), " options, not 10"));
  return doubts;
}

}  // namespace aot
