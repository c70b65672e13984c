# SPDX-License-Identifier: Apache-2.0
# Installs the library of BUILD, then configures, builds and runs SOURCE against it, with COMPILER: `cmake -DBUILD=... -DSOURCE=... -P`.
set(folder "${BUILD}/find_package")
file(REMOVE_RECURSE "${folder}")
foreach(step
        "${CMAKE_COMMAND};--install;${BUILD};--prefix;${folder}/prefix"
        "${CMAKE_COMMAND};-G;Ninja;-S;${SOURCE};-B;${folder}/build;-DCMAKE_PREFIX_PATH=${folder}/prefix;-DCMAKE_CXX_COMPILER=${COMPILER}"
        "${CMAKE_COMMAND};--build;${folder}/build"
        "${folder}/build/denoise_once")
  execute_process(COMMAND ${step} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
