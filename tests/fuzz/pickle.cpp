// SPDX-License-Identifier: Apache-2.0
#include "aot/io/pickle.h"

#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace aot;
  accepted([&] {
    const Pickle pickle = Pickle::parse(std::string(text_of(data, size)), "fuzz");
    const PickleValue root = pickle.root();
    for (size_t i = 0; i < root.pairs(); ++i) {
      static_cast<void>(root.key(i).text());
      const PickleTensor* tensor = root.value(i).tensor();
      if (tensor == nullptr) continue;
      const PickleStorage& storage = pickle.storages().at(tensor->storage);
      require(tensor->count() <= storage.count, "a tensor has no more numbers than its storage");
      require(tensor->count() == 0 || tensor->offset < storage.count, "a tensor starts inside its storage");
      static_cast<void>(tensor->contiguous());
    }
  });
  return 0;
}
