# SPDX-License-Identifier: Apache-2.0

# aot_room(name USES room... [TORCH] [LIBRARIES target...])
# One static library per room from all of src/aot/<name>/**.cpp. USES lists every room whose headers it may include,
# and is also what ./dev check compares the #include lines with.
function(aot_room name)
  cmake_parse_arguments(room "TORCH" "" "USES;LIBRARIES" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cpp")
  list(FILTER sources EXCLUDE REGEX "/isa/")  # compiled by aot_instruction_set
  add_library(aot_${name} STATIC ${sources} "${CMAKE_SOURCE_DIR}/cmake/empty.cpp")
  target_include_directories(aot_${name} PUBLIC "$<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/src>" $<INSTALL_INTERFACE:include>)
  target_compile_features(aot_${name} INTERFACE cxx_std_20)
  target_link_libraries(aot_${name} PUBLIC $<BUILD_INTERFACE:aot_flags> ${room_LIBRARIES})
  set_target_properties(aot_${name} PROPERTIES EXPORT_NAME ${name})
  set_property(GLOBAL APPEND PROPERTY AOT_ROOMS aot_${name})
  foreach(used ${room_USES})
    target_link_libraries(aot_${name} PUBLIC aot_${used})
  endforeach()
  if(room_TORCH)
    target_link_libraries(aot_${name} PUBLIC aot::torch)
  endif()
endfunction()

# aot_instruction_set(<path> flags...): compiles src/aot/kernels/cpu/isa/*.cpp once more, as namespace <path>, and adds it to the kernels room.
# These units see no standard library, and warn falsely about GCC's own intrinsics.
function(aot_instruction_set path)
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/kernels/cpu/isa/*.cpp")
  add_library(aot_kernels_${path} OBJECT ${sources})
  target_include_directories(aot_kernels_${path} PRIVATE "${CMAKE_SOURCE_DIR}/src")
  target_link_libraries(aot_kernels_${path} PRIVATE aot_flags)
  target_compile_definitions(aot_kernels_${path} PRIVATE AOT_ISA=${path})
  target_compile_options(aot_kernels_${path} PRIVATE -O3 -ffp-contract=fast -fno-math-errno -fno-trapping-math -Wno-maybe-uninitialized
                                                     -Wno-uninitialized ${ARGN})
  target_sources(aot_kernels PRIVATE $<TARGET_OBJECTS:aot_kernels_${path}>)
endfunction()

# aot_embed(room pattern header type function [summary]): compiles the files of a pattern into a room, as cmake/embed.cmake says.
function(aot_embed room pattern header type function)
  file(GLOB files CONFIGURE_DEPENDS "${pattern}")
  set(output "${CMAKE_CURRENT_BINARY_DIR}/${function}_data.cpp")
  add_custom_command(
    OUTPUT "${output}"
    COMMAND ${CMAKE_COMMAND} -DFILES=${pattern} -DHEADER=${header} -DTYPE=${type} -DFUNCTION=${function} -DSUMMARY=${ARGN} -DOUTPUT=${output}
            -P ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
    DEPENDS ${files} "${CMAKE_SOURCE_DIR}/cmake/embed.cmake"
    VERBATIM)
  target_sources(aot_${room} PRIVATE "${output}")
endfunction()

# aot_test(room [LABEL x] [LIBRARIES target...]): one program from tests/<room>/*_test.cpp, registered once, since starting LibTorch costs a second.
function(aot_test name)
  cmake_parse_arguments(test "" "" "LIBRARIES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${name}/*_test.cpp")
  add_executable(test_${name} ${sources} "${CMAKE_CURRENT_SOURCE_DIR}/support/main.cpp")
  target_include_directories(test_${name} PRIVATE "${CMAKE_SOURCE_DIR}")
  target_link_libraries(test_${name} PRIVATE aot_${name} GTest::gtest ${test_LIBRARIES})
  add_test(NAME ${name} COMMAND test_${name})
  set_tests_properties(${name} PROPERTIES ENVIRONMENT "AOT_SOURCE=${CMAKE_SOURCE_DIR};AOT_COMMAND=$<TARGET_FILE:aot>" TIMEOUT 1200)
endfunction()
