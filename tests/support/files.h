// SPDX-License-Identifier: Apache-2.0
// A folder for the files of one test, and what an error says.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "aot/io/error.h"

namespace aot {

/// An empty folder that goes away with the object.
class TestFolder {
 public:
  TestFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "aot-test-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  [[nodiscard]] std::string path(const std::string& name = "") const { return name.empty() ? path_ : path_ + "/" + name; }
  std::string write(const std::string& name, std::string_view bytes) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
    return path(name);
  }
  [[nodiscard]] std::string read(const std::string& name) const {
    std::ostringstream out;
    out << std::ifstream(path(name), std::ios::binary).rdbuf();
    return out.str();
  }

 private:
  std::string path_;
};

/// What `work` throws: the exit code and the line, as the command would show them. "nothing" when it does not throw.
template <class Work>
std::string error_of(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    return str(static_cast<int>(error.code), " ", error.what());
  }
  return "nothing";
}

/// Expects that `work` throws with that exit code and that its line holds `words`.
template <class Work>
void expect_error(int code, std::string_view words, const Work& work) {
  const std::string line = error_of(work);
  EXPECT_EQ(line.substr(0, 2), str(code, " ")) << line;
  EXPECT_NE(line.find(words), std::string::npos) << "need: " << words << "\nsaid: " << line;
  EXPECT_LE(line.size(), 300u + 2) << line;
  EXPECT_EQ(line.find('\n'), std::string::npos) << line;
}

}  // namespace aot
