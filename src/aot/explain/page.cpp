// SPDX-License-Identifier: Apache-2.0
#include "aot/explain/page.h"

#include <cstdint>

#include "aot/core/svg.h"

namespace aot {
namespace {

constexpr const char* kStyle =
    "body{font:16px/1.5 system-ui,sans-serif;max-width:820px;margin:2rem auto;padding:0 1rem;color:#222}"
    "h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}"
    "dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(220px,1fr));gap:.6rem 1.2rem}"
    "dt{color:#666;font-size:.85rem}dd{margin:0;font-weight:600}"
    "pre{background:#f6f6f4;padding:.8rem;overflow-x:auto;white-space:pre-wrap;font-size:.85rem;border-radius:4px}"
    "svg{max-width:100%;height:auto}";

/// Bytes as text, three in four characters.   [RFC 4648, section 4]
std::string base64(const std::string& bytes) {
  constexpr const char* kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t j = i; j < i + 3; ++j) group = group << 8 | (j < bytes.size() ? static_cast<uint8_t>(bytes[j]) : 0u);
    for (size_t j = 0; j < 4; ++j) out += i + j <= bytes.size() ? kDigits[group >> (18 - 6 * j) & 63] : '=';
  }
  return out;
}

}  // namespace

std::string page(const std::string& title, const std::string& body, const std::string& style) {
  return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
         "content=\"width=device-width\">\n<title>" +
         escaped_html(title) + "</title><style>" + kStyle + style + "</style></head><body>\n" + body +
         "<p>Written by aot " AOT_VERSION ".</p>\n</body></html>\n";
}

std::string fact(const std::string& name, const std::string& value) {
  return "<div><dt>" + escaped_html(name) + "</dt><dd>" + escaped_html(value) + "</dd></div>\n";
}

std::string embedded(const std::string& png) {
  return "<img alt=\"\" src=\"data:image/png;base64," + base64(png) + "\">\n";
}

}  // namespace aot
