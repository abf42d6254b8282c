#include "absl/strings/str_cat.h"
#include "batch/oci_profile.h"

namespace brood {

absl::StatusOr<Policy> PolicyFromOciProfile(const JsonValue& /*value*/, const std::string& file) {
  return absl::UnimplementedError(absl::StrCat(file, ": a seccomp profile is for Linux; Windows filters no system calls"));
}

}  // namespace brood
