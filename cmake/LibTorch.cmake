# SPDX-License-Identifier: Apache-2.0
# The target `aot::torch`: headers and libraries of the LibTorch under AOT_TORCH (a libtorch folder or a wheel's `torch` folder).
# Written by hand because the package file of a CUDA wheel asks for a CUDA toolkit that nothing here needs. Installed with the library.

set(AOT_TORCH "$ENV{AOT_TORCH}" CACHE PATH "LibTorch 2.11 or newer: folder that holds include/ and lib/")
if(NOT AOT_TORCH)
  file(GLOB aot_torch_of_venv "${CMAKE_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch")  # where ./dev installs it
  set_property(CACHE AOT_TORCH PROPERTY VALUE "${aot_torch_of_venv}")
endif()
if(NOT EXISTS "${AOT_TORCH}/include/ATen/ATen.h")
  message(FATAL_ERROR "AOT_TORCH=\"${AOT_TORCH}\" holds no LibTorch headers; run ./dev build, or pass -DAOT_TORCH=/path/to/libtorch")
endif()

file(STRINGS "${AOT_TORCH}/include/torch/headeronly/version.h" aot_torch_version_lines REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH)")
string(REGEX REPLACE ".*MAJOR ([0-9]+).*MINOR ([0-9]+).*PATCH ([0-9]+).*" "\\1.\\2.\\3" AOT_TORCH_VERSION "${aot_torch_version_lines}")
if(AOT_TORCH_VERSION VERSION_LESS 2.11)
  message(FATAL_ERROR "LibTorch ${AOT_TORCH_VERSION} in ${AOT_TORCH} is too old; need 2.11 or newer")
endif()

add_library(aot::torch INTERFACE IMPORTED GLOBAL)
target_include_directories(aot::torch SYSTEM INTERFACE "${AOT_TORCH}/include" "${AOT_TORCH}/include/torch/csrc/api/include")
target_compile_definitions(aot::torch INTERFACE FMT_HEADER_ONLY=1)
# -fopenmp only when compiling: at::parallel_for is silently serial without it. The one OpenMP runtime is LibTorch's own.
target_compile_options(aot::torch INTERFACE -fopenmp)
foreach(name torch torch_cpu torch_cuda c10 c10_cuda)
  if(EXISTS "${AOT_TORCH}/lib/lib${name}.so")
    target_link_libraries(aot::torch INTERFACE "-Wl,--no-as-needed" "${AOT_TORCH}/lib/lib${name}.so" "-Wl,--as-needed")
  endif()
endforeach()
file(GLOB aot_gomp "${AOT_TORCH}/lib/libgomp*.so*")
target_link_libraries(aot::torch INTERFACE ${aot_gomp})
# DT_RPATH, not RUNPATH: it also steers what LibTorch's libraries load, so that no second libgomp is found first.
target_link_options(aot::torch INTERFACE "-Wl,--disable-new-dtags,-rpath,${AOT_TORCH}/lib")
