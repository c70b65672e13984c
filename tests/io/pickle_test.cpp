// SPDX-License-Identifier: Apache-2.0
#include "aot/io/pickle.h"

#include <sys/resource.h>

#include <ctime>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/files.h"

namespace aot {
namespace {

using namespace std::string_literals;

std::string text(const std::string& value) {
  return "X"s + static_cast<char>(value.size()) + "\0\0\0"s + value;
}

/// torch.save's words for a tensor of shape (2, 3) that starts `offset` numbers into a storage of `count`.
std::string tensor(int count, int offset, const std::string& strides = "K\3K\1\x86") {
  return "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\nFloatStorage\n" + text("0") + text("cpu") + "K" +
         static_cast<char>(count) + "tQK" + static_cast<char>(offset) + "K\2K\3\x86" + strides + "\x89" + "ccollections\nOrderedDict\n)RtR";
}

Pickle parse(const std::string& body) {
  return Pickle::parse("\x80\2" + body + ".", "x.pt");
}

void refused(std::string_view words, const std::string& body) {
  expect_error(3, words, [&] { parse(body); });
}

TEST(Pickle, PlainValuesReadBack) {
  const Pickle pickle =
      parse("}(" + text("a") + "K\7" + text("b") + "G\x3f\xf8\0\0\0\0\0\0"s + text("c") + "\x88" + text("d") + "N" + text("e") +
            "J\xff\xff\xff\xff" + text("f") + "\x8a\2\0\x80"s + text("g") + text("h\xc3\xa9") + text("a") + "K\x08u");
  const PickleValue root = pickle.root();
  ASSERT_TRUE(root.is_dict());
  EXPECT_EQ(root.pairs(), 8u);
  EXPECT_EQ(root.member("a")->integer(), 8) << "the last of two equal keys, as in Python";
  EXPECT_EQ(root.member("b")->real(), 1.5);
  EXPECT_EQ(root.member("c")->boolean(), true);
  EXPECT_FALSE(root.member("c")->integer().has_value());
  EXPECT_TRUE(root.member("d")->is_none());
  EXPECT_EQ(root.member("e")->integer(), -1);
  EXPECT_EQ(root.member("f")->integer(), -32768);
  EXPECT_EQ(root.member("g")->text(), "h\xc3\xa9");
  EXPECT_FALSE(root.member("z").has_value());
}

TEST(Pickle, TensorsAreViewsOfStorages) {
  const Pickle pickle = parse(tensor(8, 2));
  const PickleTensor* found = pickle.root().tensor();
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(found->offset, 2);
  EXPECT_TRUE(found->contiguous());
  EXPECT_EQ(pickle.storages().at(0).dtype, "F32");
  EXPECT_EQ(pickle.storages().at(0).key, "0");
  EXPECT_FALSE(parse(tensor(8, 2, "K\1K\2\x86")).root().tensor()->contiguous()) << "a transposed view";
}

TEST(Pickle, SharedAndCyclicValuesAreNotExpanded) {
  const Pickle shared = parse("}q\0("s + text("a") + "h\0u"s);
  EXPECT_EQ(shared.root().member("a")->member("a")->pairs(), 1u) << "a dictionary that holds itself";
  std::string doubled = "]q\0"s;
  for (char i = 0; i < 100; ++i) doubled += "("s + "h" + i + "h" + i + "lq" + static_cast<char>(i + 1);
  EXPECT_NO_THROW(parse("(" + doubled + "t"s)) << "2^100 values when written out";
}

TEST(Pickle, NothingButTheListedNamesIsTaken) {
  refused("refused: os.system", "cos\nsystem\n(" + text("true") + "tR");
  refused("refused: builtins.eval", "cbuiltins\neval\n(" + text("1") + "tR");
  refused("refused: posix.system", text("posix") + text("system") + "\x93");
  refused("refused: os.system", "(" + text("true") + "ios\nsystem\n");
  refused("refused: torch.load", "ctorch\nload\n");
  refused("refused: torch._utils._rebuild_tensor", "ctorch._utils\n_rebuild_tensor\n");
  refused("refused: x\\x0b.\\x1b[2J", "cx\v\n\x1b[2J\n");
  refused("refused: calls what is no name", "ccollections\nOrderedDict\n)R)R");
  refused("refused: calls what is no name", text("os") + ")R");
  refused("refused: calls the type", "ctorch\nFloatStorage\n)R");
  refused("refused: collections.OrderedDict with arguments", "ccollections\nOrderedDict\n(]tR");
  refused("refused: sets the state", "](" + text("a") + "K\1db");
  for (const char* opcode : {"P", "\x81", "\x92", "\x82", "V", "S", "I", "F", "L", "B", "C", "\x8f", "\x97", "o", "p", "g"})
    refused("refused: opcode", opcode + "x\n"s);
}

TEST(Pickle, DamageIsNamedByItsPlace) {
  refused("data.pkl, byte 2: takes a value from an empty stack", "");
  refused("byte 2: the pickle is cut: 200 bytes needed", "X\xc8\0\0\0abc"s);
  refused("the pickle is cut: 4294967295 bytes needed", "X\xff\xff\xff\xff");
  refused("the pickle is cut inside a name", "cos");
  refused("values are left over", "NN");
  refused("a mark is missing", "t");
  refused("memo number 9 was never given", "h\x09");
  refused("memo number 4294967295 is larger", "Nr\xff\xff\xff\xff");
  refused("a key without a value", "}(Nu");
  refused("sets a key of what is no dictionary", "]NNs");
  refused("appends to what is no list", "}Na");
  refused("larger than 64 bits", "\x8a\x09" + std::string(9, 'x'));
  refused("larger than 64 bits", "\x8b\xff\xff\xff\xff");
  refused("not valid UTF-8", text("\xff"));
  refused("newer than 5", "\x80\6N");
  expect_error(3, "1 bytes after its end", [] { Pickle::parse("N..", "x.pt"); });
  expect_error(3, "the pickle is cut", [] { Pickle::parse("", "x.pt"); });
}

TEST(Pickle, TensorsStayInsideTheirStorage) {
  refused("reaches past its storage of 8 numbers", tensor(8, 3));
  refused("reaches past its storage of 6 numbers", tensor(6, 0, "K\0K\7\x86"s));
  refused("reaches past its storage of 2 numbers", tensor(2, 0, "K\0K\0\x86"s));
  refused("differ in length", tensor(8, 0, "K\1\x85"));
  refused("must be integers", tensor(8, 0, "N"));
  refused("must be an integer from 0", tensor(8, 0, "J\xff\xff\xff\xffK\1\x86"));
  const std::string huge = "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f";
  refused("reaches past its storage", tensor(8, 0, huge + huge + "\x86"));
  refused("a tensor without a storage", "ctorch._utils\n_rebuild_tensor_v2\n(NNNNtR");
  refused("something that is no storage", "NQ");
}

#ifdef __SANITIZE_ADDRESS__  // several times slower, and freed memory stays in quarantine
constexpr double kMaxMilliseconds = 1000;
constexpr long kMaxKilobytes = 1'000'000;
#else
constexpr double kMaxMilliseconds = 50;
constexpr long kMaxKilobytes = 50'000;
#endif

/// Refuses each body with its words, in little time and memory.
void refused_cheaply(const std::vector<std::pair<std::string, std::string>>& bodies) {
  rusage before = {}, after = {};
  getrusage(RUSAGE_SELF, &before);
  for (const auto& [words, body] : bodies) {
    const std::clock_t start = std::clock();  // of this process: others may be at work
    refused(words, body);
    EXPECT_LT(1000.0 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC, kMaxMilliseconds) << words;
  }
  getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, kMaxKilobytes) << "KB";
}

/// `what` again and again, in at most `bytes` bytes.
std::string repeated(const std::string& what, size_t bytes) {
  std::string out;
  while (out.size() + what.size() <= bytes) out += what;
  return out;
}

constexpr size_t kMegabyte = 1'000'000;

TEST(Pickle, AttacksAreNamedBeforeAnythingIsDone) {
  const auto call = [](const std::string& module, const std::string& member, const std::string& argument) {
    return "c" + module + "\n" + member + "\n(" + text(argument) + "tR";
  };
  const std::string import_os = call("builtins", "__import__", "os");
  const std::string ten_gigabytes = "\x8d\0\xe4\x0b\x54\2\0\0\0"s;  // its length says 10^10
  refused_cheaply({
      {"refused: os.system", call("os", "system", "touch owned")},
      {"refused: os.system", repeated("]0", kMegabyte / 4) + call("os", "system", "touch owned")},
      {"refused: posix.system", text("posix") + text("system") + "\x93(" + text("touch owned") + "tR"},
      {"refused: nt.system", call("nt", "system", "echo")},
      {"refused: subprocess.Popen", "}(" + text("model") + call("subprocess", "Popen", "sh") + "u"},
      {"refused: builtins.eval", call("builtins", "eval", "1")},
      {"refused: builtins.exec", call("builtins", "exec", "1")},
      {"refused: __builtin__.eval", call("__builtin__", "eval", "1")},
      {"refused: builtins.getattr", "cbuiltins\ngetattr\n(" + import_os + text("system") + "tR(" + text("touch owned") + "tR"},
      {"refused: builtins.__import__", "ccollections\nOrderedDict\n(" + import_os + "tR"},
      {"refused: builtins.__import__", "ctorch._utils\n_rebuild_parameter\n(" + import_os + "\x88NtR"},
      {"refused: builtins.__import__", repeated("ccollections\nOrderedDict\n(", 500 * 27) + import_os},
      {"refused: copyreg._reconstructor", "ccopyreg\n_reconstructor\n"},
      {"refused: operator.attrgetter", call("operator", "attrgetter", "system")},
      {"refused: functools.partial", "cfunctools\npartial\n(cos\nsystem\ntR"},
      {"refused: runpy._run_code", call("runpy", "_run_code", "1")},
      {"refused: torch.storage._load_from_bytes", "ctorch.storage\n_load_from_bytes\n(" + text("x") + "tR"},
      {"refused: numpy.core.multiarray._reconstruct", "cnumpy.core.multiarray\n_reconstruct\n"},
      {"refused: argparse.Namespace", "cargparse\nNamespace\n)\x81"},
      {"the pickle is cut: 10000000000 bytes needed", ten_gigabytes},
      {"refused: opcode '\\x8e'", "\x8e\0\xe4\x0b\x54\2\0\0\0"s},
      {"reaches past its storage of 8 numbers",
       tensor(8, 0, "\x8a\x05\0\xf9\2\x95\0\x8a\x05\0\xf9\2\x95\0\x86"s)},  // strides of 2.5 * 10^9
  });
}

TEST(Pickle, HostilePicklesAreCheap) {
  refused_cheaply({{"nested deeper than 1000", repeated("(", kMegabyte)},
                   {"nested deeper than 1000", "]" + repeated("\x85", kMegabyte)},
                   {"more than 300000 lists", repeated("]", kMegabyte)},
                   {"values are left over", repeated("N", kMegabyte - 10)},
                   {"more than 1000000 opcodes", repeated("N0", kMegabyte + 100)},
                   {"values are left over", repeated("U\0"s, kMegabyte)},
                   {"nested deeper than 1000", "]q\0"s + repeated("h\0h\0\x86q\0"s, kMegabyte)}});
}

}  // namespace
}  // namespace aot
