# SPDX-License-Identifier: Apache-2.0

# aot_room(name USES room... [TORCH] [LIBRARIES target...])
# One static library per room from all of src/aot/<name>/**.cpp. USES lists every room whose headers it may include,
# and is also what ./dev check compares the #include lines with.
function(aot_room name)
  cmake_parse_arguments(room "TORCH" "" "USES;LIBRARIES" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cpp")
  add_library(aot_${name} STATIC ${sources} "${CMAKE_SOURCE_DIR}/cmake/empty.cpp")
  target_include_directories(aot_${name} PUBLIC "${CMAKE_SOURCE_DIR}/src")
  target_link_libraries(aot_${name} PUBLIC aot_flags ${room_LIBRARIES})
  foreach(used ${room_USES})
    target_link_libraries(aot_${name} PUBLIC aot_${used})
  endforeach()
  if(room_TORCH)
    target_link_libraries(aot_${name} PUBLIC aot::torch)
  endif()
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
