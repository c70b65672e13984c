// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target over its corpus and over deterministic mutations of it: replay CORPUS_FOLDER MUTATIONS_PER_FILE
#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "tests/fuzz/target.h"

namespace {

constexpr double kMaxSeconds = 2;  // of processor time, with sanitizers

uint64_t g_state = 1;  // SplitMix64

uint64_t below(uint64_t bound) {
  uint64_t z = g_state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return (z ^ (z >> 31)) % bound;
}

const char* const kPieces[] = {"-1",
                               "18446744073709551616",
                               "9223372036854775807",
                               "1e999",
                               "1.5",
                               "\"\"",
                               "{}",
                               "[]",
                               "[[[[",
                               "{\"a\":",
                               "null",
                               "\\u0000",
                               "\\ud800",
                               "\xff",
                               "\xef\xbb\xbf",
                               "\n",
                               " ",
                               ",",
                               "\"",
                               "'",
                               "\"\"\"",
                               "=",
                               ".",
                               "#",
                               "true",
                               "0"};

std::string mutated(std::string text, const std::vector<std::string>& corpus) {
  for (uint64_t i = 0, times = 1 + below(4); i < times; ++i) {
    const size_t at = below(text.size() + 1), length = below(std::min<size_t>(text.size() - at, 32) + 1);
    switch (below(7)) {
      case 0:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        break;
      case 1:
        if (at < text.size()) text[at] = static_cast<char>(below(256));
        break;
      case 2:
        text.erase(at, length);
        break;
      case 3:
        text.insert(at, text.substr(at, length));
        break;
      case 4:
        text.insert(at, kPieces[below(std::size(kPieces))]);
        break;
      case 5:
        text.replace(at, length, kPieces[below(std::size(kPieces))]);
        break;
      default: {
        const std::string& other = corpus[below(corpus.size())];
        text.replace(at, std::string::npos, other.substr(std::min(at, other.size())));
      }
    }
  }
  return text;
}

void run(const std::string& text) {
  const std::clock_t start = std::clock();
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  aot::require(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC < kMaxSeconds, "an input is done with in time");
}

}  // namespace

int main(int argc, char** argv) {
  aot::require(argc == 3, "usage: replay CORPUS_FOLDER MUTATIONS_PER_FILE");
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> corpus;
  for (const auto& path : paths) {
    std::ifstream in(path, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  aot::require(!corpus.empty(), "there is a corpus");
  const long mutations = std::atol(argv[2]);
  for (const std::string& text : corpus) {
    run(text);
    for (long i = 0; i < mutations; ++i) run(mutated(text, corpus));
  }
  std::printf("%zu files, %ld mutations of each\n", corpus.size(), mutations);
  return 0;
}
