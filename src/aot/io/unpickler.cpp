// SPDX-License-Identifier: Apache-2.0
// The machine behind Pickle::parse: a stack, a memo, and about 40 opcodes.
#include <algorithm>

#include "aot/io/error.h"
#include "aot/io/file.h"
#include "aot/io/pickle.h"
#include "aot/io/utf8.h"

namespace aot {
namespace {

constexpr size_t kMaxBytes = 64u << 20, kMaxOpcodes = 1'000'000, kMaxMemo = 1'000'000, kMaxContainers = 300'000, kMaxTensors = 100'000;
constexpr size_t kMaxNameBytes = 200, kMaxKeyBytes = 100;
constexpr uint32_t kMaxDepth = 1000;
constexpr size_t kMaxRank = 8;

/// Names that a pickle may mention, as "module.name". They stand for what is done with them here; none is ever looked up.
constexpr std::string_view kDict = "collections.OrderedDict", kTensor = "torch._utils._rebuild_tensor_v2",
                           kParameter = "torch._utils._rebuild_parameter";

}  // namespace

class Unpickler {
 public:
  Unpickler(Pickle& out, const std::string& path) : out_(out), text_(out.bytes_), path_(path) {}

  void run() {
    size_t opcodes = 0;
    while (true) {
      start_ = at_;
      if (++opcodes > kMaxOpcodes) fail(str("more than ", kMaxOpcodes, " opcodes"));
      const char opcode = take(1)[0];
      if (opcode == '.') break;
      step(opcode);
    }
    out_.root_ = pop();
    if (!stack_.empty() || !marks_.empty()) fail("values are left over at its end");
    if (at_ != text_.size()) fail(str(text_.size() - at_, " bytes after its end"));
  }

 private:
  using Kind = Pickle::Kind;
  using Node = Pickle::Node;

  [[noreturn]] void fail(const std::string& problem, const std::string& hint = "") const {
    throw FileError(path_, str("data.pkl, byte ", start_), problem, hint);
  }

  // --- bytes

  std::string_view take(uint64_t bytes) {
    if (bytes > text_.size() - at_) fail(str("the pickle is cut: ", bytes, " bytes needed, ", text_.size() - at_, " left"));
    const std::string_view out = text_.substr(at_, bytes);
    at_ += bytes;
    return out;
  }

  uint64_t little_endian(int bytes) {
    const std::string_view text = take(static_cast<uint64_t>(bytes));
    uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; --i) value = value << 8 | static_cast<uint8_t>(text[static_cast<size_t>(i)]);
    return value;
  }

  std::string_view line() {
    const size_t end = text_.find('\n', at_);
    if (end == std::string_view::npos) fail("the pickle is cut inside a name");
    const std::string_view out = text_.substr(at_, end - at_);
    at_ = end + 1;
    return out;
  }

  // --- stack

  void push(uint32_t node) { stack_.push_back(node); }
  void push(const Node& node) {
    out_.nodes_.push_back(node);
    push(static_cast<uint32_t>(out_.nodes_.size() - 1));
  }
  void push_integer(int64_t value, Kind kind = Kind::integer) { push(Node{.kind = kind, .integer = value}); }
  void push_text(std::string_view text) {
    if (find_invalid_utf8(text) != std::string_view::npos) fail("a text that is not valid UTF-8");
    out_.texts_.push_back(text);
    push_integer(static_cast<int64_t>(out_.texts_.size() - 1), Kind::text);
  }
  void push_container(Kind kind, const std::vector<uint32_t>& items = {}) {
    if (out_.items_.size() == kMaxContainers) fail(str("more than ", kMaxContainers, " lists and dictionaries"));
    out_.items_.emplace_back();
    push_integer(static_cast<int64_t>(out_.items_.size() - 1), kind);
    add_items(stack_.back(), items);
  }

  uint32_t pop() {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) fail("takes a value from an empty stack");
    const uint32_t node = stack_.back();
    stack_.pop_back();
    return node;
  }
  uint32_t top() {
    const uint32_t node = pop();
    push(node);
    return node;
  }
  std::vector<uint32_t> pop(size_t count) {
    std::vector<uint32_t> out(count);
    for (size_t i = count; i-- > 0;) out[i] = pop();
    return out;
  }
  std::vector<uint32_t> pop_to_mark() {
    if (marks_.empty()) fail("a mark is missing");
    const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<uint32_t> out(first, stack_.end());
    stack_.erase(first, stack_.end());
    marks_.pop_back();
    return out;
  }

  Node& node(uint32_t index) { return out_.nodes_[index]; }
  std::vector<uint32_t>& items(uint32_t container) { return out_.items_[static_cast<size_t>(node(container).integer)]; }
  bool is_name(uint32_t index, std::string_view name) {
    return node(index).kind == Kind::name && out_.texts_[static_cast<size_t>(node(index).integer)] == name;
  }

  void add_items(uint32_t container, const std::vector<uint32_t>& added) {
    Node& to = node(container);
    for (const uint32_t item : added) to.depth = std::max(to.depth, node(item).depth + 1);
    if (to.depth > kMaxDepth) fail(str("nested deeper than ", kMaxDepth));
    std::vector<uint32_t>& list = items(container);
    list.insert(list.end(), added.begin(), added.end());
  }
  void append(const std::vector<uint32_t>& added) {
    const uint32_t list = top();
    if (node(list).kind != Kind::sequence) fail("appends to what is no list");
    add_items(list, added);
  }
  void set_items(const std::vector<uint32_t>& added) {
    const uint32_t dict = top();
    if (node(dict).kind != Kind::dict) fail("sets a key of what is no dictionary");
    if (added.size() % 2 != 0) fail("a key without a value");
    add_items(dict, added);
  }

  // --- memo

  void memoize(uint64_t index) {
    if (index >= kMaxMemo) fail(str("memo number ", index, " is larger than ", kMaxMemo));
    if (index >= memo_.size()) memo_.resize(index + 1, kNothing);
    memo_[index] = top();
  }
  void recall(uint64_t index) {
    if (index >= memo_.size() || memo_[index] == kNothing) fail(str("memo number ", index, " was never given"));
    push(memo_[index]);
  }

  // --- names and what they stand for

  void name(std::string_view module, std::string_view member) {
    const std::string full = escaped(module, kMaxNameBytes / 2) + "." + escaped(member, kMaxNameBytes / 2);
    for (const std::string_view known : {kDict, kTensor, kParameter})
      if (full == known) return push_name(known);
    if (module == "torch" && !storage_dtype(member).empty()) return push_name(storage_dtype(member));
    fail("refused: " + full, "only tensors and plain values are read, nothing is executed");
  }
  void push_name(std::string_view known) {
    out_.texts_.push_back(known);
    push_integer(static_cast<int64_t>(out_.texts_.size() - 1), Kind::name);
  }

  int64_t integer(uint32_t index, const char* what) {
    if (node(index).kind != Kind::integer || node(index).integer < 0) fail(str(what, " must be an integer from 0"));
    return node(index).integer;
  }
  std::vector<int64_t> integers(uint32_t index, const char* what) {
    if (node(index).kind != Kind::sequence) fail(str(what, " must be integers"));
    if (items(index).size() > kMaxRank) fail(str("a tensor of rank ", items(index).size(), ", larger than ", kMaxRank));
    std::vector<int64_t> out;
    for (const uint32_t item : items(index)) out.push_back(integer(item, what));
    return out;
  }

  /// ("storage", class, key, device, count)
  void persistent() {
    const uint32_t tuple = pop();
    if (node(tuple).kind != Kind::sequence || items(tuple).size() != 5) fail("refers to something that is no storage");
    const std::vector<uint32_t>& parts = items(tuple);
    const auto is_text = [&](size_t i) { return node(parts[i]).kind == Kind::text; };
    const auto text = [&](size_t i) { return out_.texts_[static_cast<size_t>(node(parts[i]).integer)]; };
    if (!is_text(0) || text(0) != "storage" || node(parts[1]).kind != Kind::name || !is_text(2))
      fail("refers to something that is no storage");
    if (text(1) == kDict || text(1) == kTensor || text(1) == kParameter) fail("a storage without a type");
    if (out_.storages_.size() == kMaxTensors) fail(str("more than ", kMaxTensors, " storages"));
    if (text(2).size() > kMaxKeyBytes) fail(str("the key of a storage is longer than ", kMaxKeyBytes, " bytes"));
    out_.storages_.push_back({std::string(text(1)), std::string(text(2)), integer(parts[4], "the count of a storage")});
    push_integer(static_cast<int64_t>(out_.storages_.size() - 1), Kind::storage);
  }

  /// (storage, offset, shape, strides, requires_grad, hooks[, metadata])
  void rebuild_tensor(const std::vector<uint32_t>& parts) {
    if (out_.tensors_.size() == kMaxTensors) fail(str("more than ", kMaxTensors, " tensors"));
    if (parts.size() < 4 || node(parts[0]).kind != Kind::storage) fail("a tensor without a storage");
    PickleTensor tensor{static_cast<size_t>(node(parts[0]).integer), integer(parts[1], "the offset of a tensor"),
                        integers(parts[2], "the shape of a tensor"), integers(parts[3], "the strides of a tensor")};
    const int64_t held = out_.storages_[tensor.storage].count;
    if (tensor.shape.size() != tensor.strides.size()) fail("a tensor whose shape and strides differ in length");
    int64_t count = 1, last = tensor.offset;
    bool fits = true, empty = false;
    for (size_t i = 0; i < tensor.shape.size(); ++i) {
      int64_t step = 0;
      empty = empty || tensor.shape[i] == 0;
      fits = fits && !__builtin_mul_overflow(count, std::max<int64_t>(tensor.shape[i], 1), &count) &&
             !__builtin_mul_overflow(std::max<int64_t>(tensor.shape[i] - 1, 0), tensor.strides[i], &step) &&
             !__builtin_add_overflow(last, step, &last);
    }
    if (!fits || (!empty && (last >= held || count > held))) fail(str("a tensor reaches past its storage of ", held, " numbers"));
    out_.tensors_.push_back(std::move(tensor));
    push_integer(static_cast<int64_t>(out_.tensors_.size() - 1), Kind::tensor);
  }

  void reduce() {
    const uint32_t arguments = pop(), callable = pop();
    if (node(callable).kind != Kind::name) fail("refused: calls what is no name");
    if (node(arguments).kind != Kind::sequence) fail("a call without arguments");
    const std::vector<uint32_t>& parts = items(arguments);
    if (is_name(callable, kDict)) {
      if (!parts.empty()) fail("refused: collections.OrderedDict with arguments");
      return push_container(Kind::dict);
    }
    if (is_name(callable, kTensor)) return rebuild_tensor(parts);
    if (is_name(callable, kParameter)) {
      if (parts.empty() || node(parts[0]).kind != Kind::tensor) fail("a parameter without a tensor");
      return push(parts[0]);
    }
    fail("refused: calls the type of a storage");
  }

  /// Attributes of a state_dict (`_metadata`) say nothing about its tensors.
  void build() {
    pop();
    if (node(top()).kind != Kind::dict) fail("refused: sets the state of what is no dictionary");
  }

  void stack_global() {
    const uint32_t member = pop(), module = pop();
    if (node(member).kind != Kind::text || node(module).kind != Kind::text) fail("a name that is no text");
    name(out_.texts_[static_cast<size_t>(node(module).integer)], out_.texts_[static_cast<size_t>(node(member).integer)]);
  }

  void long_integer(uint64_t bytes) {
    if (bytes > 8) fail(str("an integer of ", bytes, " bytes, larger than 64 bits"));
    uint64_t value = little_endian(static_cast<int>(bytes));
    if (bytes > 0 && bytes < 8 && (value >> (8 * bytes - 1)) != 0) value |= ~uint64_t{0} << (8 * bytes);  // negative
    push_integer(static_cast<int64_t>(value));
  }

  void real() {
    uint64_t bits = 0;
    for (const char byte : take(8)) bits = bits << 8 | static_cast<uint8_t>(byte);
    push_integer(static_cast<int64_t>(bits), Kind::real);
  }

  void protocol() {
    if (const uint64_t number = little_endian(1); number > 5) fail(str("pickle protocol ", number, ", newer than 5"));
  }

  void step(char opcode) {
    switch (opcode) {
      case '\x80':
        return protocol();
      case '\x95':
        return static_cast<void>(take(8));  // frame: says where a reader may pause
      case '(':
        if (marks_.size() == kMaxDepth) fail(str("nested deeper than ", kMaxDepth));
        return marks_.push_back(stack_.size());
      case '0':
        return static_cast<void>(pop());
      case '1':
        return static_cast<void>(pop_to_mark());
      case '2':
        return push(top());

      case 'N':
        return push(Node{});
      case '\x88':
        return push_integer(1, Kind::boolean);
      case '\x89':
        return push_integer(0, Kind::boolean);
      case 'J':
        return push_integer(static_cast<int32_t>(little_endian(4)));
      case 'K':
        return push_integer(static_cast<int64_t>(little_endian(1)));
      case 'M':
        return push_integer(static_cast<int64_t>(little_endian(2)));
      case '\x8a':
        return long_integer(little_endian(1));
      case '\x8b':
        return long_integer(little_endian(4));
      case 'G':
        return real();

      case 'U':
      case '\x8c':
        return push_text(take(little_endian(1)));
      case 'T':
      case 'X':
        return push_text(take(little_endian(4)));
      case '\x8d':
        return push_text(take(little_endian(8)));

      case ']':
      case ')':
        return push_container(Kind::sequence);
      case '}':
        return push_container(Kind::dict);
      case '\x85':
        return push_container(Kind::sequence, pop(1));
      case '\x86':
        return push_container(Kind::sequence, pop(2));
      case '\x87':
        return push_container(Kind::sequence, pop(3));
      case 't':
      case 'l':
        return push_container(Kind::sequence, pop_to_mark());
      case 'd':
        push_container(Kind::dict);
        dict_from_mark();
        return;
      case 'a':
        return append(pop(1));
      case 'e':
        return append(pop_to_mark());
      case 's':
        return set_items(pop(2));
      case 'u':
        return set_items(pop_to_mark());

      case 'q':
        return memoize(little_endian(1));
      case 'r':
        return memoize(little_endian(4));
      case '\x94':
        return memoize(memo_.size());
      case 'h':
        return recall(little_endian(1));
      case 'j':
        return recall(little_endian(4));

      case 'c': {
        const std::string_view module = line();
        return name(module, line());
      }
      case 'i': {  // names and calls in one go
        const std::string_view module = line();
        name(module, line());
        fail("refused: opcode 'i'");
      }
      case '\x93':
        return stack_global();
      case 'Q':
        return persistent();
      case 'R':
        return reduce();
      case 'b':
        return build();
      default:
        fail(str("refused: opcode '", escaped({&opcode, 1}), "'"), "torch.save does not write it");
    }
  }

  /// Opcode 'd' on what was just pushed: the dictionary takes the pairs below it.
  void dict_from_mark() {
    const uint32_t dict = stack_.back();
    stack_.pop_back();
    const std::vector<uint32_t> pairs = pop_to_mark();
    push(dict);
    set_items(pairs);
  }

  static constexpr uint32_t kNothing = UINT32_MAX;

  Pickle& out_;
  std::string_view text_;
  const std::string& path_;
  size_t at_ = 0, start_ = 0;
  std::vector<uint32_t> stack_, memo_;
  std::vector<size_t> marks_;
};

Pickle Pickle::parse(std::string bytes, const std::string& path) {
  if (bytes.size() > kMaxBytes) throw FileError(path, "data.pkl", str("larger than ", limit_text(kMaxBytes)));
  Pickle out;
  // On the heap even when short, so that views of it outlive a move.
  bytes.reserve(std::max<size_t>(bytes.size(), 64));
  out.bytes_ = std::move(bytes);
  Unpickler(out, path).run();
  return out;
}

}  // namespace aot
