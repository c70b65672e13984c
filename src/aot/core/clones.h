// SPDX-License-Identifier: Apache-2.0
#pragma once

// A plain loop compiled for each instruction set and chosen when the program starts. Sanitizers run before that choice can be made, and
// clang has no such choice by architecture levels: there the loop is compiled once.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define AOT_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define AOT_CLONES
#endif

// A piece of such a loop, compiled again inside each of its versions.
#define AOT_INLINE [[gnu::always_inline]] inline
