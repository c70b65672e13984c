# SPDX-License-Identifier: Apache-2.0
# AOT_PYTHON: the Python whose torch AOT_TORCH is, when there is one; for the package and for tests against PyTorch.

# Looked for at each configuration, since AOT_TORCH may have become another.
file(REAL_PATH "${AOT_TORCH}" torch_folder BASE_DIRECTORY "${CMAKE_SOURCE_DIR}")
find_program(AOT_PYTHON_OF_PATH python3)
mark_as_advanced(AOT_PYTHON_OF_PATH)
set(matching "")
foreach(python "${AOT_PYTHON}" "$ENV{AOT_PYTHON}" "${torch_folder}/../../../../bin/python" "${AOT_PYTHON_OF_PATH}")
  if(python AND NOT matching)
    execute_process(COMMAND "${python}" "${CMAKE_SOURCE_DIR}/scripts/torch_folder.py"
                    OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    file(REAL_PATH "${found}" found)
    if(found STREQUAL torch_folder)
      cmake_path(NORMAL_PATH python OUTPUT_VARIABLE matching)
    endif()
  endif()
endforeach()
set(AOT_PYTHON "${matching}" CACHE STRING "the Python whose torch AOT_TORCH is; empty: there is none" FORCE)

# Where its headers are and how its modules are called; AOT_PYTHON_INCLUDE stays empty where it cannot have modules built.
set(AOT_PYTHON_INCLUDE "")
if(AOT_PYTHON AND EXISTS "${AOT_TORCH}/lib/libtorch_python.so")
  set(ask "import sysconfig; print(sysconfig.get_path('include'), sysconfig.get_config_var('EXT_SUFFIX'), sep=';', end='')")
  execute_process(COMMAND "${AOT_PYTHON}" -c "${ask}" OUTPUT_VARIABLE facts)
  list(GET facts 0 include)
  list(GET facts 1 AOT_PYTHON_SUFFIX)
  if(EXISTS "${include}/Python.h")
    set(AOT_PYTHON_INCLUDE "${include}")
  endif()
endif()
