# SPDX-License-Identifier: Apache-2.0
# Writes OUTPUT, a source file in which FUNCTION() of HEADER gives every file of the pattern FILES as a TYPE of raw strings: its name, with
# SUMMARY=ON its first comment line after the licence, its text. Run as `cmake -DFILES=... -P`; a name is without its ending where there is
# a summary.
file(GLOB files "${FILES}")
list(SORT files)
set(rows "")
foreach(file ${files})
  file(READ "${file}" text)
  if(SUMMARY)
    get_filename_component(name "${file}" NAME_WE)
    string(REGEX MATCH "^# SPDX[^\n]*\n# ([^\n]*)" ignored "${text}")
    string(APPEND rows "      {\"${name}\", R\"aot(${CMAKE_MATCH_1})aot\", R\"aot(${text})aot\"},\n")
  else()
    get_filename_component(name "${file}" NAME)
    string(APPEND rows "      {\"${name}\", R\"aot(${text})aot\"},\n")
  endif()
endforeach()
file(WRITE "${OUTPUT}" "#include \"${HEADER}\"

namespace aot {

const std::vector<${TYPE}>& ${FUNCTION}() {
  static const std::vector<${TYPE}> all = {
${rows}  };
  return all;
}

}  // namespace aot
")
