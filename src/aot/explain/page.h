// SPDX-License-Identifier: Apache-2.0
// The frame of every page: one file without scripts that loads nothing from elsewhere.
#pragma once

#include <string>

namespace aot {

/// A whole page around `body`. `title` is escaped, `body` is HTML; `style` is added to the common one.
std::string page(const std::string& title, const std::string& body, const std::string& style = "");

/// One entry of a <dl>: a name and its value, both escaped.
std::string fact(const std::string& name, const std::string& value);

/// An <img> that holds the picture itself.
std::string embedded(const std::string& png);

}  // namespace aot
