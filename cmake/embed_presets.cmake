# SPDX-License-Identifier: Apache-2.0
# Writes OUTPUT, a source file that holds every CONFIGS/*.toml as a raw string: run as `cmake -DCONFIGS=... -DOUTPUT=... -P`.
file(GLOB files "${CONFIGS}/*.toml")
list(SORT files)
set(rows "")
foreach(file ${files})
  get_filename_component(name "${file}" NAME_WE)
  file(READ "${file}" text)
  string(REGEX MATCH "^# SPDX[^\n]*\n# ([^\n]*)" ignored "${text}")
  set(summary "${CMAKE_MATCH_1}")
  string(APPEND rows "      {\"${name}\", R\"aot(${summary})aot\", R\"aot(${text})aot\"},\n")
endforeach()
file(WRITE "${OUTPUT}" "#include \"aot/models/presets.h\"

namespace aot {

const std::vector<Preset>& presets() {
  static const std::vector<Preset> all = {
${rows}  };
  return all;
}

}  // namespace aot
")
