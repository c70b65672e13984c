// SPDX-License-Identifier: Apache-2.0
// Certificates as JSON and as tables.
#pragma once

#include <string>

#include "aot/io/json.h"
#include "aot/theory/certificate.h"

namespace aot {

/// One sample: settings of the theorem, hypotheses, and a record per layer (docs/theory.md lists the keys).
Json certificate_json(const Certificate& certificate, const DenoiseOptions& options);

/// The same for people: a line a layer, then what broke first and which hypotheses fail. `judged` adds verdicts.
std::string certificate_text(const Certificate& certificate, const DenoiseOptions& options, bool judged);

/// Every token of every layer as CSV lines `seed,layer,token,cluster,signal,noise`, without a header.
std::string token_rows_csv(const Certificate& certificate);

}  // namespace aot
