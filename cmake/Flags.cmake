# SPDX-License-Identifier: Apache-2.0
# Warnings, hardening and sanitizers, in one interface target that every room and program uses.

add_library(aot_flags INTERFACE)
target_compile_options(aot_flags INTERFACE -Wall -Wextra -Wshadow -Wno-missing-field-initializers -Wnon-virtual-dtor -Woverloaded-virtual)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(aot_flags INTERFACE -Wno-restrict)  # warns about "literal" + std::string(...): GCC bug 105651
endif()
if(AOT_WERROR)
  target_compile_options(aot_flags INTERFACE -Werror)
endif()
target_compile_options(aot_flags INTERFACE -fstack-protector-strong)
target_compile_definitions(aot_flags INTERFACE _GLIBCXX_ASSERTIONS AOT_VERSION="${PROJECT_VERSION}")
target_link_options(aot_flags INTERFACE $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:-pie> -Wl,-z,relro,-z,now,-z,noexecstack)
if(AOT_SANITIZE)
  target_compile_options(aot_flags INTERFACE -fsanitize=${AOT_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(aot_flags INTERFACE -fsanitize=${AOT_SANITIZE})
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(aot_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()
