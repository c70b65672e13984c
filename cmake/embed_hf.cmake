# SPDX-License-Identifier: Apache-2.0
# Writes OUTPUT, a source file that holds every FOLDER/*.py as a raw string: run as `cmake -DFOLDER=... -DOUTPUT=... -P`.
file(GLOB files "${FOLDER}/*.py")
list(SORT files)
set(rows "")
foreach(file ${files})
  get_filename_component(name "${file}" NAME)
  file(READ "${file}" text)
  string(APPEND rows "      {\"${name}\", R\"aot(${text})aot\"},\n")
endforeach()
file(WRITE "${OUTPUT}" "#include \"aot/interop/convert.h\"

namespace aot {

const std::vector<HfFile>& hf_files() {
  static const std::vector<HfFile> all = {
${rows}  };
  return all;
}

}  // namespace aot
")
