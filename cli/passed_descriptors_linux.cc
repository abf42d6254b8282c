#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string_view>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/passed_descriptors.h"

namespace brood {
namespace {

absl::StatusOr<InheritedFd> ParseOne(const std::string& text) {
  const auto bad = [&](std::string_view why) { return absl::InvalidArgumentError(absl::StrCat("--pass-fd: \"", text, "\": ", why)); };
  const std::pair<std::string_view, std::string_view> parts = absl::StrSplit(text, absl::MaxSplits(':', 1));
  InheritedFd passed;
  const std::string_view number = text.find(':') == std::string::npos ? parts.first : parts.second;
  if (!absl::SimpleAtoi(parts.first, &passed.fd) || !absl::SimpleAtoi(number, &passed.child_fd) || passed.fd < 0) {
    return bad("expected FD[:NUMBER], the number of a descriptor, and that which it has inside");
  }
  if (passed.child_fd <= STDERR_FILENO) return bad("0, 1 and 2 are the standard streams, which it has anyway; give it a higher number");
  // What this program has opened itself is close-on-exec, and what was passed to it is not: else it would not be here.
  const int flags = fcntl(passed.fd, F_GETFD);
  if (flags < 0 || (flags & FD_CLOEXEC) != 0) return bad(absl::StrCat("no such descriptor is open; a shell opens it by ", passed.fd, "<FILE"));
  struct stat about;
  if (fstat(passed.fd, &about) == 0 && S_ISDIR(about.st_mode)) {
    return bad("is a directory, through which a program could leave its root; show it by --ro or --rw");
  }
  return passed;
}

}  // namespace

absl::StatusOr<std::vector<InheritedFd>> ParsePassedDescriptors(const std::vector<std::string>& texts) {
  std::vector<InheritedFd> passed;
  for (const std::string& text : texts) {
    const absl::StatusOr<InheritedFd> one = ParseOne(text);
    if (!one.ok()) return one.status();
    passed.push_back(*one);
  }
  return passed;
}

}  // namespace brood
