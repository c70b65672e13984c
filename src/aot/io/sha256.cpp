// SPDX-License-Identifier: Apache-2.0
#include "aot/io/sha256.h"

#include <new>

#include <openssl/evp.h>

namespace aot {

struct Sha256::State {
  State() : context(EVP_MD_CTX_new()) {
    if (context == nullptr || EVP_DigestInit_ex(context, EVP_sha256(), nullptr) != 1) throw std::bad_alloc();
  }
  ~State() { EVP_MD_CTX_free(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  EVP_MD_CTX* context;
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::add(const void* data, size_t bytes) {
  EVP_DigestUpdate(state_->context, data, bytes);
}

std::string Sha256::hex() {
  unsigned char digest[32];
  EVP_DigestFinal_ex(state_->context, digest, nullptr);
  std::string out;
  for (const unsigned char byte : digest) out += {"0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]};
  return out;
}

std::string sha256_hex(std::string_view data) {
  Sha256 digest;
  digest.add(data.data(), data.size());
  return digest.hex();
}

}  // namespace aot
