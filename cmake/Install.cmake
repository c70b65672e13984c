# SPDX-License-Identifier: Apache-2.0
# `cmake --install`: the command, the rooms with their headers, and the package file behind find_package(aot).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

get_property(rooms GLOBAL PROPERTY AOT_ROOMS)
add_library(aot_all INTERFACE)  # aot::aot: every room
target_link_libraries(aot_all INTERFACE ${rooms})
set_target_properties(aot_all PROPERTIES EXPORT_NAME aot)

set(package "${CMAKE_INSTALL_LIBDIR}/cmake/aot")
install(TARGETS aot)
install(TARGETS ${rooms} aot_all EXPORT aotTargets)
install(EXPORT aotTargets NAMESPACE aot:: DESTINATION "${package}")
install(DIRECTORY src/aot DESTINATION include FILES_MATCHING PATTERN "*.h" PATTERN "*.def")
file(REAL_PATH "${AOT_TORCH}" AOT_BUILT_WITH BASE_DIRECTORY "${CMAKE_SOURCE_DIR}")
configure_package_config_file(cmake/aotConfig.cmake.in aotConfig.cmake INSTALL_DESTINATION "${package}")
write_basic_package_version_file(aotConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/aotConfig.cmake" "${CMAKE_CURRENT_BINARY_DIR}/aotConfigVersion.cmake" cmake/LibTorch.cmake
              cmake/Libraries.cmake DESTINATION "${package}")
