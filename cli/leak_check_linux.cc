#include <sys/ptrace.h>

#include <cstddef>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "cli/leak_check.h"

namespace brood {
namespace {

// A library that the file names, or a function that a runtime which is part of it exports.
constexpr std::string_view kMarks[] = {"libasan.so.", "liblsan.so.", "libclang_rt.asan", "__lsan_do_leak_check"};
constexpr size_t kLongestMark = 32;

bool HasMark(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<char> block(size_t{1} << 20);
  size_t kept = 0;  // The end of the last block, in which a mark may have begun.
  while (file.read(block.data() + kept, static_cast<std::streamsize>(block.size() - kept)), file.gcount() > 0) {
    const std::string_view text(block.data(), kept + static_cast<size_t>(file.gcount()));
    for (const std::string_view mark : kMarks) {
      if (text.find(mark) != std::string_view::npos) return true;
    }
    kept = text.size() < kLongestMark ? text.size() : kLongestMark;
    text.copy(block.data(), kept, text.size() - kept);
  }
  return false;
}

}  // namespace

bool IsLeakCheck(const Violation& violation, const std::string& program) {
  return violation.syscall == "ptrace" && violation.args[0] == PTRACE_ATTACH && HasMark(program);
}

}  // namespace brood
