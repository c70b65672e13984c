// SPDX-License-Identifier: Apache-2.0
// Tokenizers, prepared texts and images, drawn prompts. Numbers come as tensors, which the package shows as NumPy arrays.
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/ops/empty.h>

#include "aot/data/encoder_team.h"
#include "aot/data/image_dataset.h"
#include "aot/data/regression.h"
#include "aot/data/token_dataset.h"
#include "aot/data/tokenizer.h"
#include "aot/generate/text_stream.h"
#include "aot/io/error.h"
#include "python/bindings/bindings.h"

namespace aot {
namespace {

constexpr size_t kPieceBytes = 1 << 20;  // encoded between two looks at signals

std::vector<int32_t> encode(const Tokenizer& tokenizer, const std::string& text, bool special) {
  return unlocked([&] {
    std::vector<int32_t> ids;
    if (special) {
      tokenizer.encode_with_special(text, ids);
      return ids;
    }
    const std::unique_ptr<Encoder> encoder = tokenizer.encoder();
    try {
      for (std::string_view rest = text; !rest.empty(); poll_signals()) {
        const std::string_view piece = rest.substr(0, safe_length(tokenizer, rest, kPieceBytes));
        encoder->encode(piece, ids);
        rest.remove_prefix(piece.size());
      }
    } catch (const Error&) {
      return tokenizer.encode(text);  // says it again, with its place in the whole text
    }
    return ids;
  });
}

void check_ids(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  for (const int32_t id : ids)
    TORCH_CHECK_INDEX(id >= 0 && id < tokenizer.vocab_size(), "token id ", id, " is outside the vocabulary of ", tokenizer.vocab_size());
}

void bind_tokenizers(py::module_& module) {
  // pybind11 holds no pointers to const; nothing here changes a tokenizer.
  const auto shared = [](const TokenizerPtr& tokenizer) { return std::const_pointer_cast<Tokenizer>(tokenizer); };
  module.def("open_tokenizer", [shared](const std::string& name) { return shared(unlocked([&] { return open_tokenizer(name); })); });
  py::class_<Tokenizer, std::shared_ptr<Tokenizer>>(module, "Tokenizer")
      .def_property_readonly("kind", &Tokenizer::kind)
      .def_property_readonly("vocab_size", &Tokenizer::vocab_size)
      .def_property_readonly("end_of_text",
                             [](const Tokenizer& tokenizer) {
                               const int32_t id = tokenizer.end_of_text();
                               return id >= 0 ? std::optional<int32_t>(id) : std::nullopt;
                             })
      .def("encode", encode, py::arg("text"), py::arg("special") = false)
      .def(
          "decode",
          [](const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
            check_ids(tokenizer, ids);
            return unlocked([&] { return replace_invalid_utf8(tokenizer.decode(ids)); });
          },
          py::arg("ids"))
      .def(
          "decode_bytes",
          [](const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
            check_ids(tokenizer, ids);
            return py::bytes(tokenizer.decode(ids));
          },
          py::arg("ids"))
      .def("to_json", &Tokenizer::to_json);
}

void check_range(const char* what, int64_t first, int64_t count, int64_t size) {
  TORCH_CHECK_INDEX(first >= 0 && count >= 0 && first <= size - count, what, " ", first, " to ", first + count, " are outside 0 to ", size);
}

void bind_texts(py::module_& module) {
  py::class_<TokenFile>(module, "TokenFile")
      .def("__len__", &TokenFile::tokens)
      .def_property_readonly("path", &TokenFile::path)
      .def("read",
           [](const TokenFile& file, int64_t first, int64_t count) {
             check_range("tokens", first, count, file.tokens());
             return unlocked([&] {
               const at::Tensor out = at::empty({count}, at::kLong);
               file.read(first, count, out.mutable_data_ptr<int64_t>());
               return out;
             });
           })
      .def("windows", [](const TokenFile& file, uint64_t seed, int64_t step, int64_t batch, int64_t length) {
        TORCH_CHECK_VALUE(batch >= 0 && length >= 1 && length <= file.tokens(), "windows: length must be 1 to ", file.tokens(),
                          " and batch not negative, got ", length, " and ", batch);
        return unlocked([&] {
          const at::Tensor out = at::empty({batch, length}, at::kLong);
          for (int64_t i = 0; i < batch; ++i)
            file.read(window_start(seed, step, i, file.tokens(), length), length, out.mutable_data_ptr<int64_t>() + i * length);
          return out;
        });
      });
  py::class_<TextDataset>(module, "TextDataset")
      .def_readonly("path", &TextDataset::path)
      .def_readonly("vocab_size", &TextDataset::vocab_size)
      .def_property_readonly("tokenizer", [](const TextDataset& data) { return std::const_pointer_cast<Tokenizer>(data.tokenizer); })
      .def_property_readonly(
          "train", [](const TextDataset& data) { return data.train.get(); }, py::return_value_policy::reference_internal)
      .def_property_readonly(
          "val", [](const TextDataset& data) { return data.val.get(); }, py::return_value_policy::reference_internal);
  module.def("open_text_dataset", [](const std::string& path, const std::string& tokenizer, int64_t vocab_size) {
    return unlocked([&] { return open_text_dataset(path, tokenizer, vocab_size); });
  });
}

at::Tensor bytes_tensor(const std::vector<uint8_t>& bytes, at::IntArrayRef shape) {
  const at::Tensor out = at::empty(shape, at::kByte);
  std::memcpy(out.mutable_data_ptr<uint8_t>(), bytes.data(), static_cast<size_t>(out.numel()));
  return out;
}

void bind_images(py::module_& module) {
  py::class_<ImageSplit>(module, "ImageSplit")
      .def("__len__", &ImageSplit::size)
      .def_property_readonly("has_masks", &ImageSplit::has_masks)
      .def("labels",
           [](const ImageSplit& split) {
             const at::Tensor out = at::empty({split.size()}, at::kLong);
             for (int64_t i = 0; i < split.size(); ++i) out.mutable_data_ptr<int64_t>()[i] = split.label(i);
             return out;
           })
      .def("image",
           [](const ImageSplit& split, int64_t index) {
             check_range("images", index, 1, split.size());
             return unlocked([&] {
               Image image;
               split.read(index, image);
               return bytes_tensor(image.pixels, {image.height, image.width, image.channels});
             });
           })
      .def("mask", [](const ImageSplit& split, int64_t index) {
        check_range("images", index, 1, split.size());
        TORCH_CHECK_VALUE(split.has_masks(), split.path(), " has no masks");
        return unlocked([&] {
          std::vector<uint8_t> mask;
          split.read_mask(index, mask);
          const ImageSize size = split.size_of(index);
          return bytes_tensor(mask, {size.height, size.width});
        });
      });
  py::class_<ImageDataset>(module, "ImageDataset")
      .def_readonly("path", &ImageDataset::path)
      .def_readonly("classes", &ImageDataset::classes)
      .def_readonly("mean", &ImageDataset::mean)
      .def_readonly("std", &ImageDataset::std)
      .def_property_readonly(
          "train", [](const ImageDataset& data) { return data.train.get(); }, py::return_value_policy::reference_internal)
      .def_property_readonly(
          "val", [](const ImageDataset& data) { return data.val.get(); }, py::return_value_policy::reference_internal);
  module.def("open_image_dataset", [](const std::string& path) { return unlocked([&] { return open_image_dataset(path); }); });
}

py::tuple prompts(int64_t count, int64_t points, int64_t dims, uint64_t seed, int64_t first, const py::kwargs& keywords) {
  ProblemOptions options;
  set_keywords(options, keywords, "draw_prompts");
  if (count < 0 || points < 1 || dims < 1 || first < 0)
    throw UsageError("draw_prompts: points and dims must be at least 1, count and first not negative");
  check(options, dims);
  const at::Tensor x = at::empty({count, points, dims}, at::kFloat), y = at::empty({count, points}, at::kFloat);
  unlocked([&] {
    draw_prompts(options, {.points = points, .dims = dims, .active = dims}, seed, static_cast<uint64_t>(first), count,
                 x.mutable_data_ptr<float>(), y.mutable_data_ptr<float>());
  });
  return py::make_tuple(x, y);
}

}  // namespace

void bind_data(py::module_& module) {
  bind_tokenizers(module);
  bind_texts(module);
  bind_images(module);
  module.def("draw_prompts", prompts);
}

}  // namespace aot
