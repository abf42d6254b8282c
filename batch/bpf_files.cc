#include "batch/bpf_files.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "batch/files.h"
#include "sandbox/check_filter.h"

namespace brood {
namespace {

// Of what the kernel takes, and more, so that it is counted in instructions what is too long.
constexpr size_t kMaxBytes = 64 << 10;

absl::Status Load(BpfFile& file) {
  BROOD_ASSIGN_OR_RETURN(file.program, ReadFile(file.path, kMaxBytes));
  if (!file.program.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(file.path, ": is empty; expected a filter as the kernel takes it (struct sock_filter)"));
}

}  // namespace

absl::Status LoadBpfFiles(std::vector<BpfFile>& files) {
  for (BpfFile& file : files) {
    if (!file.program.empty()) continue;
    if (file.path[0] != '/') return absl::InvalidArgumentError(absl::StrCat("policy: bpf_files: \"", file.path, "\" is not an absolute path"));
    const absl::Status loaded = Load(file);
    if (!loaded.ok()) return absl::InvalidArgumentError(absl::StrCat("policy: bpf_files: ", loaded.message()));
  }
  return absl::OkStatus();
}

absl::StatusOr<BpfFile> ReadBpfOption(std::string_view path) {
  if (path.empty()) return absl::InvalidArgumentError("expected a file");
  BpfFile file{.path = std::string(path), .program = {}};
  BROOD_RETURN_IF_ERROR(Load(file));
  Policy only;
  only.bpf_files.push_back(file);
  BROOD_RETURN_IF_ERROR(CheckFilter(only));
  return file;
}

}  // namespace brood
